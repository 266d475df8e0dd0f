"""Chooses rows: those that deserve a look, and those of the table if a manifest has too many. Pure, and repeatable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.report.figures import FIGURES, Values
from pipeline.report.manifest_scan import ScannedManifest

Numbers = NDArray[np.int64]
"""Numbers of rows, `[rows] int64`."""

SILENT_DBFS = -60.0
"""Level below which nobody hears an utterance [dB re full scale]."""
_EXTREMES = 100
"""Number of rows at each end of each figure that are always in the table."""


@dataclass(frozen=True)
class ChosenRows:
    """Rows that deserve a look.

    Args:
        id, label, note: see `ClipList`.
        rows: numbers of the rows, the worst first.
    """

    id: str
    label: str
    note: str
    rows: tuple[int, ...]


def worth_a_look(scan: ScannedManifest, most: int, seed: int) -> Iterator[ChosenRows]:
    """The worst rows by each figure that tells something, and some at random.

    Args:
        scan: the manifest.
        most: largest number of rows in a list.
        seed: seed of what is drawn at random.
    """
    figures = scan.figures
    if len(far := worst(figures["mel_distance"], most)):
        note = "The mel of the audio differs most from the mel that went in."
        yield ChosenRows("mel_distance", "Farthest from their mels", note, far)
    clipped = np.where(figures["clipped"] > 0, figures["clipped"], np.nan)
    if len(rows := worst(clipped, most)):
        yield ChosenRows("clipped", "Clipped", "The most samples were clipped when they were quantized.", rows)
    yield ChosenRows("loud", "Loudest", "The highest level.", worst(figures["rms_dbfs"], most))
    yield ChosenRows("quiet", "Quietest", "The lowest level: silence, or almost.", worst(-figures["rms_dbfs"], most))
    rate = figures["characters_per_second"]
    with np.errstate(divide="ignore"):
        logs = np.log(rate)
    if not np.isnan(rate).all():
        note = "Characters per second are farthest from the median: text and audio may not belong together."
        yield ChosenRows("rate", "Odd speaking rate", note, worst(np.abs(logs - np.nanmedian(logs)), most))
    rng = np.random.default_rng(seed)
    drawn = tuple(rng.permutation(len(scan))[:most].tolist())
    yield ChosenRows("random", "At random", f"Drawn at random, seed {seed}.", drawn)


def table_rows(scan: ScannedManifest, most: int, always: Numbers, seed: int) -> Numbers:
    """The rows of the table, ascending: all, or those of both ends of each figure, of each speaker, and some at random.

    Args:
        scan: the manifest.
        most: number of rows.
        always: rows that are always among them.
        seed: seed of what is drawn at random.
    """
    count = len(scan)
    if count <= most:
        return np.arange(count, dtype=np.int64)
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(count).astype(np.int64)
    ends = [_ends(scan.figures[figure.field], min(_EXTREMES, most // 40)) for figure in FIGURES]
    first_of_each = drawn[np.unique(scan.speakers.codes()[drawn], return_index=True)[1]]
    rng.shuffle(first_of_each)
    return first_of([always, *ends, first_of_each[: most // 4], drawn], most)


def first_of(choices: Sequence[Numbers], most: int) -> Numbers:
    """The first different numbers of several choices, sorted.

    >>> first_of([np.array([7, 3]), np.array([3, 1, 9])], 3).tolist()
    [1, 3, 7]
    """
    in_order = np.concatenate(choices)
    _, first = np.unique(in_order, return_index=True)
    return np.sort(in_order[np.sort(first)][:most])


def worst(values: Values, most: int) -> tuple[int, ...]:
    """Numbers of the rows with the largest values, the largest first; none that were not measured."""
    order = np.argsort(-np.where(np.isnan(values), -np.inf, values), kind="stable")[:most]
    return tuple(order[~np.isnan(values[order])].tolist())


def _ends(values: Values, most: int) -> Numbers:
    measured = np.flatnonzero(~np.isnan(values))
    order = measured[np.argsort(values[measured], kind="stable")]
    return np.concatenate([order[:most], order[-most:]]) if most else order[:0]
