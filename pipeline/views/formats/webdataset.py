"""webdataset and wids: lists of tars, whose members are pairs of audio and JSON.

    SPLIT-000000.tar   links to the tars of the output, or with --audio new tars; none if readers find tars at URLs
    SPLIT.json         index of wids: wids_version, name, and shardlist with url, nsamples and, where known, filesize
    SPLIT.txt          webdataset alone: what it opens, one a line

Rules: webdataset 1.0.2 (gopen.py: no s3://, which it reads through a `pipe:`) and wids 0.1.11 (wids_specs.py: a url is
relative to its index; wids_mmtar.py: it reads the headers of tars itself, and no PAX headers).
"""

from __future__ import annotations

import json
import tarfile

from pipeline.output.shard_index import WIDS_VERSION
from pipeline.views.export_format import Making
from pipeline.views.rows import ExportRow
from pipeline.views.tars import ExportedTar, exported_tars, in_order

_LONG = (
    f"its name in the tar has more than {tarfile.LENGTH_NAME} bytes, which wids does not read; choose --to webdataset, "
    'or leave it out with --audio --where "length(key) < 80"'
)


class Wids:
    """See ExportFormat. Writes an index of each split."""

    def __init__(self, making: Making) -> None:
        self._making = making
        self._tars = exported_tars(making)

    def problem(self, row: ExportRow) -> str | None:
        """See ExportFormat: of tars of the output, the texts may be stale; and wids reads no long names."""
        if len(f"{row.row.member.rpartition('.')[0]}.json") > tarfile.LENGTH_NAME:
            return _LONG
        return self._tars.problem(row)

    def add(self, row: ExportRow) -> None:
        """See ExportFormat."""
        self._tars.add(row)

    def finish(self) -> None:
        """See ExportFormat."""
        self._tars.finish()
        for split, tars in self._tars.by_split.items():
            self._write(split, in_order(tars, self._making.options.shuffle))

    def _write(self, split: str, tars: list[ExportedTar]) -> None:
        entries = ",\n".join(json.dumps(_entry(each)) for each in tars)
        index = f'{{\n"wids_version": {WIDS_VERSION},\n"name": {json.dumps(split)},\n"shardlist": [\n{entries}\n]\n}}\n'
        self._making.files.write(f"{split}.json", index)


class Webdataset(Wids):
    """See ExportFormat. Writes a list of what webdataset opens, too, which reads names of any length."""

    def problem(self, row: ExportRow) -> str | None:
        """See ExportFormat: of tars of the output, the texts may be stale."""
        return self._tars.problem(row)

    def _write(self, split: str, tars: list[ExportedTar]) -> None:
        super()._write(split, tars)
        opened = (f"pipe:aws s3 cp '{each.url}' -" if each.url.startswith("s3://") else each.url for each in tars)
        self._making.files.write(f"{split}.txt", "".join(f"{each}\n" for each in opened))


def _entry(tar: ExportedTar) -> dict[str, str | int]:
    size = {} if tar.bytes is None else {"filesize": tar.bytes}
    return {"url": tar.url, "nsamples": tar.utterances, **size}
