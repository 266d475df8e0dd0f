"""The formats of exports: for each a module with a class that is an `ExportFormat`.

In: rows of an export, one after the other. Out: files that a reader takes, whose rules the module states with the
version that they were read from. A format knows nothing of manifests, filters, splits and atomic replacement.
`FORMATS` names them; a module is imported when its format is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import ConfigError
from pipeline.views.export_format import ExportFormat, Making
from pipeline.views.options import ExportOptions

Taken = Literal["audio", "base", "shuffle", "allow_empty_text"]


@dataclass(frozen=True)
class FormatEntry:
    """A format by name.

    Args:
        place: module and class, `module:class`, below this room.
        line: text for the list of formats: what reads it.
        takes: options that mean something to it, besides those that all formats take.
        needs: library that it needs, of the extra `export`; empty if none.
        absolute: whether it may hold absolute paths, so that it is made again where the output or the export was moved.
        in_output: whether it may be one file in the output itself.
    """

    place: str
    line: str
    takes: frozenset[Taken]
    needs: str = ""
    absolute: bool = False
    in_output: bool = False

    def open(self, making: Making) -> ExportFormat:
        """The format, about to write an export. ConfigError if the options do not fit."""
        module, _, name = self.place.partition(":")
        found: ExportFormat = getattr(importlib.import_module(f"{__name__}.{module}"), name)(making)
        return found

    def check(self, options: ExportOptions) -> None:
        """Raises ConfigError if an option means nothing to the format, or its library is not installed."""
        given: dict[Taken, bool] = {
            "audio": options.audio,
            "base": bool(options.base),
            "shuffle": options.shuffle is not None,
            "allow_empty_text": options.allow_empty_text,
        }
        for name, is_given in given.items():
            if is_given and name not in self.takes:
                usable = [each for each, entry in FORMATS.items() if name in entry.takes]
                raise ConfigError(
                    f"--{name.replace('_', '-')} means nothing to --to {options.to}; it is for {', '.join(usable)}"
                )
        if self.needs and importlib.util.find_spec(self.needs) is None:
            raise ConfigError(f"--to {options.to} needs {self.needs}: pip install 'melmill[export]'")


_TEXT: frozenset[Taken] = frozenset({"allow_empty_text"})
_TARS: frozenset[Taken] = frozenset({"audio", "base", "shuffle"})

FORMATS: dict[str, FormatEntry] = {
    "webdataset": FormatEntry("webdataset:Webdataset", "webdataset: lists of tars", _TARS),
    "wids": FormatEntry("webdataset:Wids", "wids: indexes of tars", _TARS),
    "parquet": FormatEntry(
        "parquet:Parquet", "pandas, polars, DuckDB, Hugging Face: tables", frozenset({"audio", "base"}), "pyarrow"
    ),
    "huggingface": FormatEntry(
        "huggingface:HuggingFace",
        "load_dataset and the Hub: tars with a card",
        frozenset({"audio", "base"}),
        in_output=True,
    ),
    "croissant": FormatEntry(
        "croissant:Croissant", "mlcroissant: JSON-LD, a table and tars", frozenset({"audio", "base"}), "pyarrow"
    ),
    "audiofolder": FormatEntry(
        "audiofolder:AudioFolder", 'load_dataset("audiofolder"): metadata.jsonl and audio files', frozenset({"audio"})
    ),
    "lhotse": FormatEntry(
        "lhotse:LhotseManifests",
        "CutSet.from_file, load_manifest: recordings, supervisions, cuts",
        frozenset({"audio", "base"}),
        absolute=True,
    ),
    "lhotse-shar": FormatEntry("lhotse_shar:LhotseShar", "CutSet.from_shar: cuts, and tars of audio", frozenset()),
    "nemo": FormatEntry(
        "nemo:NemoManifests", "NeMo: manifests beside audio files", _TEXT | {"audio", "base"}, absolute=True
    ),
    "nemo-tarred": FormatEntry("nemo_tarred:NemoTarred", "NeMo: tars with manifests", _TEXT | {"audio"}),
    "kaldi": FormatEntry(
        "kaldi:KaldiDirectories", "Kaldi, ESPnet, kaldiio: data directories", _TEXT | {"base"}, absolute=True
    ),
    "ljspeech": FormatEntry("ljspeech:LJSpeech", "LJSpeech: metadata.csv and WAV files", _TEXT),
}
"""The formats, in the order in which people see them."""
