"""The utterances that two outputs have in common, and how their figures differ. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.report.choosing import ChosenRows, Numbers, worst
from pipeline.report.figures import FIGURES, Figure, Values, bin_edges, counts_between
from pipeline.report.manifest_scan import ScannedManifest
from pipeline.report.page_data.comparison import ComparedFigure

_PERCENTILES = (0.0, 0.5, 5.0, 50.0, 95.0, 99.5, 100.0)
_LISTED = ("mel_distance", "rms_dbfs", "duration")
"""Figures that utterances are listed by, if they differ."""


@dataclass(frozen=True)
class MatchedUtterances:
    """The utterances of both outputs, in the order of A's manifest.

    Args:
        a, b: the manifests.
        a_rows, b_rows: number of each utterance's row in both, `[utterances] int64`.
    """

    a: ScannedManifest
    b: ScannedManifest
    a_rows: Numbers
    b_rows: Numbers

    @classmethod
    def of(cls, a: ScannedManifest, b: ScannedManifest) -> MatchedUtterances:
        """The utterances that have the same key in both."""
        _, a_rows, b_rows = np.intersect1d(a.keys, b.keys, return_indices=True)
        order = np.argsort(a_rows, kind="stable")
        return cls(a, b, a_rows[order], b_rows[order])

    def __len__(self) -> int:
        return len(self.a_rows)

    @property
    def same(self) -> NDArray[np.bool_]:
        """Whether both have the same samples, `[utterances] bool`."""
        return np.equal(self.a.pcm[self.a_rows], self.b.pcm[self.b_rows], dtype=np.bool_)

    @property
    def texts_changed(self) -> int:
        """Number of utterances with another text."""
        return int((self.a.texts_said[self.a_rows] != self.b.texts_said[self.b_rows]).sum())

    def values(self, figure: Figure) -> tuple[Values, Values]:
        """A figure of all utterances, of A and of B."""
        return self.a.figures[figure.field][self.a_rows], self.b.figures[figure.field][self.b_rows]

    @property
    def figures(self) -> list[Figure]:
        """The figures that both outputs have measured of some utterance."""
        return [figure for figure in FIGURES if not np.isnan(np.subtract(*self.values(figure))).all()]

    def change(self) -> Values:
        """By how much each utterance changed, `[utterances] float64`: in mel distance; in level if that has none."""
        for field in _LISTED:
            a, b = self.values(next(figure for figure in FIGURES if figure.field == field))
            if not np.isnan(change := np.abs(b - a)).all():
                return change
        return np.zeros(len(self))


def compared_figure(figure: Figure, a: Values, b: Values) -> ComparedFigure:
    """How a figure of the same utterances differs.

    Args:
        figure: the figure.
        a, b: its values, `[utterances] float64`, at least one of which is measured in both.
    """
    there = ~np.isnan(a) & ~np.isnan(b)
    a, b = a[there], b[there]
    difference = b - a
    _, low, p05, median, p95, high, _ = np.percentile(difference, _PERCENTILES).tolist()
    edges = bin_edges(low, high)
    nearer = None if figure.better is None else (int((difference > 0).sum()), int((difference < 0).sum()))
    return ComparedFigure(
        figure.field,
        figure.label,
        figure.unit,
        figure.help,
        figure.better,
        float(np.median(a)),
        float(np.median(b)),
        median,
        p05,
        p95,
        None if nearer is None else nearer[0],
        None if nearer is None else nearer[1],
        int((difference == 0).sum()),
        tuple(edges.tolist()),
        tuple(counts_between(difference, edges).tolist()),
        len(there) - len(difference),
    )


def most_changed(matched: MatchedUtterances, most: int, seed: int) -> Iterator[ChosenRows]:
    """Utterances that changed most by each figure, and some at random, by their numbers in `matched`.

    Args:
        matched: the utterances.
        most: largest number of utterances in a list.
        seed: seed of what is drawn at random.
    """
    for figure in matched.figures:
        a, b = matched.values(figure)
        change = np.where(a == b, np.nan, np.abs(b - a))
        if figure.field in _LISTED and len(rows := worst(change, most)):
            note = f"{figure.label} differs most between A and B."
            yield ChosenRows(figure.field, f"Most changed: {figure.label.lower()}", note, rows)
    drawn = tuple(np.random.default_rng(seed).permutation(len(matched))[:most].tolist())
    yield ChosenRows("random", "At random", f"Drawn at random, seed {seed}.", drawn)
