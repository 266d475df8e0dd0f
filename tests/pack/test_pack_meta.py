"""Metadata by key: read from lists, and in the packed store."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.making import SPEC, make_ragged, random_mel

from pipeline.errors import ConfigError
from pipeline.pack import pack_source, read_metadata
from pipeline.stores import open_store


def rows_of(path: Path, text: str) -> dict[str, object]:
    path.write_bytes(text.encode())
    return {key: json.loads(row) for key, row in read_metadata(str(path)).rows.items()}


def test_json_lines_and_tables_say_the_same(tmp_path: Path) -> None:
    expected = {"a/b": {"text": 'he said "x, y"', "speaker": "ünï"}, "c": {"text": "two\nlines"}}
    lines = '{"key": "a/b", "text": "he said \\"x, y\\"", "speaker": "ünï"}\n\n{"id": "c", "text": "two\\nlines", '
    lines += '"n": null}'
    assert rows_of(tmp_path / "m.jsonl", lines) == expected
    table = '\ufeffspeaker,utt_id,text\nünï,a/b,"he said ""x, y"""\n,c,"two\nlines"\n'
    assert rows_of(tmp_path / "m.csv", table) == expected
    tabs = 'speaker\tkey\ttext\nünï\ta/b\t"he said ""x, y"""\n\tc\t"two\nlines"\n'
    assert rows_of(tmp_path / "m.tsv", tabs) == expected
    nested = {"a": {"tags": ["x"], "age": 3, "clean": True}}
    assert rows_of(tmp_path / "m.jsonl", '{"key": "a", "tags": ["x"], "age": 3, "clean": true}') == nested


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("m.jsonl", '{"key": "a"}\n\n{"key": "a", "text": "x"}', "lines 1 and 3 have the same key 'a'"),
        ("m.csv", "key,text,text\na,x,y\n", "the column 'text' occurs twice in the header"),
        ("m.csv", "key,text\n", "has no rows; add lines below the header"),
        ("m.jsonl", '{"key": "a", "text": "\\ud800"}', "line 1: it holds half of a surrogate pair"),
        ("m.csv", "key,text\na,x\nb,y\na,z\n", "lines 2 and 4 have the same key 'a'"),
        ("m.jsonl", '{"key": "a"}\n{"text": "x"}', "line 2: no field key"),
        ("m.jsonl", '{"key": 3}', "line 1: no field key"),
        ("m.csv", "key,text\n,x\n", "line 2: no field key"),
        ("m.csv", "name,text\na,x\n", "line 2: no field key"),
        ("m.csv", "key,text\na,x,y\n", "line 2: it does not have as many fields"),
        ("m.csv", "key,text\na\n", "line 2: it does not have as many fields"),
        ("m.csv", 'key,text\na,"x', "not a valid table"),
        ("m.jsonl", "a\tx", "line 1, is not a valid JSON object"),
        ("m.jsonl", '{"key": "a", "x": NaN}', "NaN"),
        ("m.jsonl", "", "has no rows"),
    ],
)
def test_bad_lists_are_refused_with_the_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_metadata(str(tmp_path / name))


def test_metadata_goes_over_the_source_s_own_and_what_has_no_match_is_named(tmp_path: Path) -> None:
    mels = {key: random_mel(9, seed) for seed, key in enumerate("abc")}
    own = [json.dumps({"text": "old", "speaker": "anna"}), "", ""]
    make_ragged(tmp_path / "old.zarr", mels, meta=own)
    lines = [{"key": "a", "text": "new"}, {"key": "b", "language": "fr"}, {"key": "x", "text": "nobody's"}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    metadata = read_metadata(str(tmp_path / "m.jsonl"))
    result = pack_source(str(tmp_path / "old.zarr"), str(tmp_path / "new.zarr"), metadata=metadata, workers=1)
    assert (result.without_metadata, result.unused_metadata) == (("c",), ("x",))
    store = open_store(str(tmp_path / "new.zarr"))
    listed = store.catalogue()
    assert not listed.faults
    assert [store.meta(utterance) for utterance in listed] == [
        {"text": "new", "speaker": "anna"}, {"language": "fr"}, {},
    ]  # fmt: skip
    for utterance in listed:
        np.testing.assert_array_equal(store.read(utterance), mels[utterance.key])
    assert store.spec == SPEC
