"""The figures of an utterance that a report is about, and how each is distributed over all rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.report.page_data.figures import FigureHistogram
from pipeline.report.page_data.rows import ColumnLabel

Values = NDArray[np.float64]
"""A figure of all rows, `[rows] float64`; NaN where it was not measured."""

_MOST_BINS, _FEWEST_BINS = 48, 8
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_PERCENTILES = (0.0, 0.5, 5.0, 50.0, 95.0, 99.5, 100.0)


@dataclass(frozen=True)
class Figure:
    """A figure of an utterance.

    Args:
        field: name of its column.
        label: its name for people.
        unit: its unit; "" if it has none.
        digits: number of digits after the decimal point that are shown.
        help: what it means, as a sentence.
        better: which value is better: lower, or None if neither is.
        histogram: whether the page has a histogram of it.
    """

    field: str
    label: str
    unit: str
    digits: int
    help: str
    better: Literal["lower"] | None = None
    histogram: bool = True

    @property
    def column(self) -> ColumnLabel:
        """Its column of the table."""
        return ColumnLabel(self.label, "number", self.unit, self.digits, self.help)


FIGURES = (
    Figure("duration", "Duration", "s", 2, "Length of the audio."),
    Figure("rms_dbfs", "Level", "dBFS", 1, "Root mean square of all samples; -200 is digital silence."),
    Figure("peak_dbfs", "Peak", "dBFS", 1, "Largest absolute sample before quantization; above 0 it is over "
           "full scale."),
    Figure("mel_distance", "Mel distance", "", 3, "Mean absolute difference of the log-mel values that went in and "
           "those of the audio.", better="lower"),
    Figure("mel_distance_relative", "Relative mel distance", "", 2, "Mel distance divided by the standard deviation of "
           "the mel that went in: usually 0.10 to 0.16.", better="lower"),
    Figure("mel_distance_unrefined", "Mel distance before refinement", "", 3, "Mel distance of the net's own waveform, "
           "before vocoder.refine brought it nearer to its mel.", better="lower"),
    Figure("characters_per_second", "Characters per second", "1/s", 1, "Characters of the text divided by the "
           "duration: far from the others where text and audio do not belong together."),
    Figure("loudness", "Loudness", "LUFS", 1, "Integrated loudness as written (ITU-R BS.1770)."),
    Figure("gain_db", "Gain", "dB", 1, "Gain that brought it to the loudness.", histogram=False),
    Figure("clipped", "Clipped samples", "", 0, "Number of samples that quantization clipped.", "lower", False),
    Figure("over_full_scale", "Samples over full scale", "", 0, "Number of samples over full scale before "
           "quantization.", "lower", False),
)  # fmt: skip
"""All figures, in the order in which they are shown."""


def histogram(figure: Figure, values: Values) -> FigureHistogram | None:
    """How a figure is distributed; None if it was measured of no row."""
    measured = values[~np.isnan(values)]
    if not len(measured):
        return None
    minimum, low, p05, median, p95, high, maximum = np.percentile(measured, _PERCENTILES).tolist()
    bins = min(_MOST_BINS, max(_FEWEST_BINS, math.ceil(2 * math.sqrt(len(measured)))))
    edges = bin_edges(low, high, bins)
    return FigureHistogram(
        figure.field,
        figure.label,
        figure.unit,
        figure.help,
        tuple(edges.tolist()),
        tuple(counts_between(measured, edges).tolist()),
        minimum,
        p05,
        median,
        p95,
        maximum,
        len(values) - len(measured),
    )


def bin_edges(low: float, high: float, most: int = _MOST_BINS) -> NDArray[np.float64]:
    """Edges of bins of a round width that cover a range, ascending, `[bins + 1] float64`.

    Args:
        low, high: the range.
        most: number of bins, or up to two more where round edges need it.

    >>> bin_edges(0.3, 9.8)[:4].tolist()
    [0.2, 0.4, 0.6, 0.8]
    """
    spread = max(high - low, abs(high) * 1e-6, 1e-6)
    magnitude = 10.0 ** math.floor(math.log10(spread / most))
    step = next(step * magnitude for step in _STEPS if step * magnitude * most >= spread * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    last = max(first + 1, math.ceil(high / step - 1e-9))
    return np.array([float(f"{number * step:.12g}") for number in range(first, last + 1)])


def counts_between(values: Values, edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number of values between each two edges, `[bins] int64`; the outer bins hold what lies beyond, too."""
    bins = np.searchsorted(edges[1:-1], values, side="right")
    return np.bincount(bins, minlength=len(edges) - 1).astype(np.int64)
