"""croissant: a description in JSON-LD, which mlcroissant, TensorFlow Datasets and search engines for data sets read.

    croissant.json           the description: the files with their digests, and one record set, `utterances`
    rows.parquet             all columns, the split and the name of the audio in its tar, one row an utterance
    data/000123-1a2b.tar     links to the tars of the output, or with --audio new tars; none where they are at URLs

Rules: Croissant 1.0, and mlcroissant 1.1.1. It unpacks tars into a folder that is named by their contentUrl alone, so
tars have names that no other tar has. It reads JSON lines with pandas, which takes keys of digits for numbers; so the
rows are a table with types. It has no format for FLAC: as text/plain, it gives the bytes. Records come in the order of
the tars and of the names in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from pipeline.output.published_rows import last_part
from pipeline.planning.fields import FieldType
from pipeline.views.columns import column_types, columns
from pipeline.views.export_format import Making
from pipeline.views.rows import ExportRow
from pipeline.views.table_file import TableFile
from pipeline.views.tars import exported_tars

CROISSANT = "croissant.json"
_ROWS = "rows.parquet"
_TAKEN = (
    "split", "audio", "audio_name", "content", "filename", "filepath", "fullpath", "lines", "lineNumbers", "index",
)  # fmt: skip
"""The last ones are names that mlcroissant gives to columns of its own."""
_TYPES = {"integer": "sc:Integer", "number": "sc:Float", "boolean": "sc:Boolean"}
_NAMES = (
    "citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet", "format",
    "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex",
    "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{name: f"cr:{name}" for name in _NAMES},
}
"""The context that the specification asks for (Croissant 1.0, appendix 1)."""


class Croissant:
    """See ExportFormat."""

    def __init__(self, making: Making) -> None:
        self._making = making
        self._tars = exported_tars(making, "data/{shard}.tar")
        self._plain_types = column_types(making, _TAKEN)
        self._types = {name: _flat(known) for name, known in self._plain_types.items()}
        self._types |= {"split": "text", "audio_name": "text"}
        self._table = TableFile(making.files, _ROWS, self._types)
        self._extensions: set[str] = set()

    def problem(self, row: ExportRow) -> str | None:
        """See ExportFormat: of tars of the output, the texts may be stale."""
        return self._tars.problem(row)

    def add(self, row: ExportRow) -> None:
        """See ExportFormat."""
        self._tars.add(row)
        self._extensions.add(row.row.member.rpartition(".")[2])
        told = columns(row, self._making, _TAKEN)
        changed = {name: json.dumps(told[name], ensure_ascii=False) for name in told if self._is_flattened(name)}
        self._table.add({**told, **changed, "split": row.split, "audio_name": row.row.member})

    def finish(self) -> None:
        """See ExportFormat."""
        self._tars.finish()
        self._table.close()
        tars = list(self._described_tars())
        plain = {
            "@context": _CONTEXT,
            "@type": "sc:Dataset",
            "conformsTo": "http://mlcommons.org/croissant/1.0",
            "name": last_part(self._making.source.url),
            "description": f"Speech that melmill has made: the output {last_part(self._making.source.url)}.",
            "distribution": [
                _file(_ROWS, _ROWS, "application/x-parquet", self._making.files.sha256(_ROWS)),
                *tars,
                {
                    "@type": "cr:FileSet",
                    "@id": "audio",
                    "containedIn": [{"@id": each["@id"]} for each in tars],
                    "encodingFormat": [*(f"audio/{each}" for each in sorted(self._extensions)), "text/plain"],
                    "includes": [f"*.{each}" for each in sorted(self._extensions)],
                },
            ],
            "recordSet": [
                {
                    "@type": "cr:RecordSet",
                    "@id": "utterances",
                    "key": {"@id": "utterances/key"},
                    "field": [*(_field(name, known) for name, known in self._types.items()), _AUDIO],
                }
            ],
        }
        self._making.files.write(CROISSANT, json.dumps(plain, indent=1, ensure_ascii=False) + "\n")

    def _is_flattened(self, name: str) -> bool:
        return self._types[name] != self._plain_types[name]

    def _described_tars(self) -> Iterator[dict[str, Any]]:
        for tar in (tar for tars in self._tars.by_split.values() for tar in tars):
            yield _file(tar.url.rpartition("/")[2], tar.url, "application/x-tar", tar.sha256())


def _audio(part: str) -> dict[str, Any]:
    return {"fileSet": {"@id": "audio"}, "extract": {"fileProperty": part}}


_AUDIO = {
    "@type": "cr:Field",
    "@id": "utterances/audio",
    "name": "audio",
    "dataType": "sc:AudioObject",
    "source": _audio("content"),
}


def _file(name: str, url: str, kind: str, sha256: str) -> dict[str, Any]:
    told = {"contentUrl": url, "encodingFormat": kind, "sha256": sha256}
    return {"@type": "cr:FileObject", "@id": name, "name": name, **told}


def _field(name: str, known: FieldType) -> dict[str, Any]:
    told: dict[str, Any] = {"@type": "cr:Field", "@id": f"utterances/{quote(name, safe='')}", "name": name}
    match known:
        case {"list": inner}:
            told |= {"dataType": _TYPES.get(str(inner), "sc:Text"), "repeated": True}
        case _:
            told["dataType"] = _TYPES.get(str(known), "sc:Text")
    told["source"] = {"fileObject": {"@id": _ROWS}, "extract": {"column": name}}
    if name == "audio_name":  # mlcroissant reads the audio of what refers, and not of what is referred to
        told |= {"references": told["source"], "source": _audio("fullpath")}
    return told


def _flat(known: FieldType) -> FieldType:
    """The type of a column: text, in JSON, for what is nested more deeply than a list of values."""
    match known:
        case {"list": str()} | str():
            return known
        case _:
            return "text"
