"""Code that loads an output. It runs in the folder that the output lies in; tests run the text of each."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.output.layout import INDEX, MANIFEST, PARQUET
from pipeline.report.page_data.page import Snippet
from pipeline.report.published_output import PublishedOutput

_MELMILL = """\
import pipeline

dataset = pipeline.read({url})
key, samples, sample_rate, meta = dataset[0]
print(key, samples.shape, sample_rate, meta)
"""
_WEBDATASET = """\
import io, json, pathlib, soundfile, webdataset

out = pathlib.Path({url})
index = json.loads((out / "{INDEX}").read_text())
shards = [str(out / each["url"]) for each in index["shardlist"]]
for sample in webdataset.WebDataset(shards, shardshuffle=False):
    samples, sample_rate = soundfile.read(io.BytesIO(sample["{codec}"]))
    print(sample["__key__"], samples.shape, sample_rate)
    break
"""
_SOUNDFILE = """\
import io, json, pathlib, soundfile

out = pathlib.Path({url})
for line in open(out / "{MANIFEST}", encoding="utf-8"):
    row = json.loads(line)
    with open({place}, "rb") as file:
        file.seek(row["offset"])
        samples, sample_rate = soundfile.read(io.BytesIO(file.read(row["bytes"])))
    print(row["key"], samples.shape, sample_rate, row["text"])
    break
"""
_PARQUET = """\
import pathlib, pyarrow.parquet

table = pyarrow.parquet.read_table(pathlib.Path({url}) / "{PARQUET}")
print(table.num_rows, table.column_names)
"""


def snippets(output: PublishedOutput) -> tuple[Snippet, ...]:
    """Code for the ways to load an output that it supports."""
    return tuple(_snippets(output))


def _snippets(output: PublishedOutput) -> Iterator[Snippet]:
    url, section = repr(output.public_url), output.section("output")
    published = {each.name for each in output.publication.files} if output.publication is not None else set()
    tars, codec = section.get("container", "tar") == "tar", section.get("codec", "flac")
    yield Snippet("melmill: by number, with torch or without", "melmill", _MELMILL.format(url=url))
    if "://" in output.url:
        return
    if tars and INDEX in published:
        code = _WEBDATASET.format(url=url, INDEX=INDEX, codec=codec)
        yield Snippet("WebDataset: the current shards, one after the other", "webdataset soundfile", code)
    place = 'out / row["shard"]' if tars else 'out / row["shard"] / row["member"]'
    code = _SOUNDFILE.format(url=url, MANIFEST=MANIFEST, place=place)
    yield Snippet("soundfile: what the manifest names", "soundfile", code)
    if PARQUET in published:
        yield Snippet("Parquet: the manifest as a table", "pyarrow", _PARQUET.format(url=url, PARQUET=PARQUET))
