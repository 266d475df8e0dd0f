"""The table of utterances, and those that deserve a look, as the page is given them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class ColumnLabel:
    """What a column of the table is.

    Args:
        label: its heading.
        kind: text or number.
        unit: unit of a number; "" if it has none.
        digits: number of digits after the decimal point.
        help: what it means, as a sentence; "" if the heading says it all.
    """

    label: str
    kind: Literal["text", "number"]
    unit: str = ""
    digits: int = 0
    help: str = ""


RowColumns = Mapping[str, Sequence[Any]]
"""Rows as columns: name -> a value for each row. Texts are cut at 500 characters, and end with "…" then; a number that
was not measured is None. `row` is the number of the row in the manifest, from 0; `shard` is the shard's number in
`TableOfRows.shards`; `clip` is the number of its clip in `PageData.clips`, or -1. Fields of the metadata are
`meta.NAME`."""


@dataclass(frozen=True)
class RowChunk:
    """A file of further rows.

    Args:
        file: its name in the report; it holds a RowColumns.
        rows: number of rows in it.
    """

    file: str
    rows: int


@dataclass(frozen=True)
class TableOfRows:
    """The table of utterances.

    Args:
        total: number of rows of the manifest.
        included: number of rows in `columns`.
        note: which rows these are, and how to get all of them; "" if these are all.
        columns: the rows that are there at once, in the order of the manifest.
        shards: names of the shards.
        labels: name of each column -> what it is, in the order in which they are shown. `row` and `clip` have none.
        chunks: files with all rows, those of `columns` among them, in the order of the manifest; None if there are
            none.
    """

    total: int
    included: int
    note: str
    columns: RowColumns
    shards: tuple[str, ...]
    labels: Mapping[str, ColumnLabel]
    chunks: tuple[RowChunk, ...] | None


@dataclass(frozen=True)
class ClipList:
    """Utterances that deserve a look.

    Args:
        id: name of the list, for links: `mel_distance`, `loud`, `quiet`, `clipped`, `rate`, `random`.
        label: heading.
        note: sentence that says why these utterances are in the list.
        clips: numbers in `PageData.clips`, the worst first.
    """

    id: str
    label: str
    note: str
    clips: tuple[int, ...]


@dataclass(frozen=True)
class MelHeader:
    """What the bytes of a clip's mels are.

    Args:
        n_mels: number of bands.
        frames: number of frames; of long utterances, several are averaged to one.
        hop_seconds: distance from one frame to the next [s].
        lo, hi: values of the bytes 0 and 255, in log-mel units of the vocoder's contract.
        fmin, fmax: edges of the lowest and the highest band [Hz].
        log: kind of logarithm: ln, log10 or db.
        input: whether the mel that went in is there, before that of the audio.
        distance: mean absolute difference of both, over the frames that both have; None without input.
    """

    n_mels: int
    frames: int
    hop_seconds: float
    lo: float
    hi: float
    fmin: float
    fmax: float
    log: str
    input: bool
    distance: float | None


@dataclass(frozen=True)
class ClipAudio:
    """The audio of an utterance, and what is drawn of it.

    Args:
        file: name of the audio in the report; None if it is too long to be copied, or cannot be read.
        detail: name of the file with its mels; None as before.
        peaks: base64 of the waveform's envelope, `[300, 2] int8`: lowest and highest sample of each stretch, 127 for
            full scale; "" if it cannot be read.
        silence: silence before, after, and in all of it [s]; None if it cannot be read.
        note: why something is missing, as a sentence: its mel is gone from the store, ...; "" if nothing is.
    """

    file: str | None
    detail: str | None
    peaks: str
    silence: tuple[float, float, float] | None
    note: str


@dataclass(frozen=True)
class Example:
    """An utterance to look at and listen to.

    Args:
        row: its row, as the manifest has it: key, text, ..., source, meta; texts are whole up to 10,000 characters.
        number: number of the row in the manifest, from 0.
        audio: its audio.
    """

    row: Mapping[str, Any]
    number: int
    audio: ClipAudio
