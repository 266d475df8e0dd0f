"""What the rows of a shard and of a publication add up to."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.output.records import Row

FAR_OFF = 0.5
"""A vocoder whose contract fits stays below this `mel_distance_relative`: usually 0.10 to 0.16. A wrong logarithm
gives up to 0.32, and untrained weights give 1.5."""


@dataclass(frozen=True)
class Totals:
    """What a publication holds.

    Args:
        utterances: number of rows in the manifest.
        failed: number of rows in failures.jsonl.
        seconds: duration of the audio in the manifest [s].
        mel_distance_median: median of `mel_distance` over the manifest, or None if it was not measured.
        mel_distance_relative_median: median of `mel_distance_relative` over the manifest, or None.
        mel_distance_worst: largest `mel_distance`, or None.
        mel_distance_worst_key: key of the utterance with the largest `mel_distance`, or None.
        over_full_scale: number of utterances with samples over full scale before quantization.
        over_full_scale_samples: total number of such samples.
        peak: largest absolute sample before quantization; None in publications that were made before it was kept.
        peak_key: key of the utterance with that sample, or None.
    """

    utterances: int
    failed: int
    seconds: float
    mel_distance_median: float | None = None
    mel_distance_relative_median: float | None = None
    mel_distance_worst: float | None = None
    mel_distance_worst_key: str | None = None
    over_full_scale: int = 0
    over_full_scale_samples: int = 0
    peak: float | None = None
    peak_key: str | None = None


@dataclass(frozen=True)
class ShardSums:
    """What the rows of one shard add up to. Its commit record keeps it, so that a publication parses no row.

    Args:
        utterances: number of rows.
        seconds: duration of the audio [s].
        over_full_scale: number of utterances with samples over full scale before quantization.
        over_full_scale_samples: total number of such samples.
        peak: largest absolute sample before quantization, and the key of the utterance that has it; None without rows.
        worst: largest `mel_distance`, and the key of the utterance that has it; None if none was measured.
        mel_distance: each `mel_distance` that was measured.
        mel_distance_relative: `mel_distance_relative` of the same utterances.
    """

    utterances: int
    seconds: float
    over_full_scale: int
    over_full_scale_samples: int
    peak: tuple[float, str] | None
    worst: tuple[float, str] | None
    mel_distance: Sequence[float]
    mel_distance_relative: Sequence[float]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> ShardSums:
        """The sums of the rows of a shard."""
        measured = [
            (row.mel_distance, row.mel_distance_relative, row.key)
            for row in rows
            if row.mel_distance is not None and row.mel_distance_relative is not None
        ]
        return cls(
            len(rows),
            sum(row.duration for row in rows),
            sum(bool(row.over_full_scale) for row in rows),
            sum(row.over_full_scale or 0 for row in rows),
            max(((row.peak, row.key) for row in rows), default=None),
            max(((distance, key) for distance, _, key in measured), default=None),
            [distance for distance, _, _ in measured],
            [relative for _, relative, _ in measured],
        )

    def to_json(self) -> bytes:
        """The sums as a commit record has them."""
        return json.dumps(vars(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> ShardSums:
        """The sums that `to_json` wrote. ValueError or TypeError if they are not valid."""
        plain = json.loads(text)
        peak, worst = (tuple(each) if each is not None else None for each in (plain["peak"], plain["worst"]))
        return cls(**{**plain, "peak": peak, "worst": worst})


class Sums:
    """Adds up the sums of shards. A million rows take 16 MB of memory."""

    def __init__(self) -> None:
        self._utterances = self._over = self._over_samples = 0
        self._seconds = 0.0
        self._distances = array("d")
        self._relative = array("d")
        self._worst: tuple[float, str] | None = None
        self._peak: tuple[float, str] | None = None

    def add(self, shard: ShardSums) -> None:
        """Add those of the next shard."""
        self._utterances += shard.utterances
        self._seconds += shard.seconds
        self._over += shard.over_full_scale
        self._over_samples += shard.over_full_scale_samples
        self._distances.extend(shard.mel_distance)
        self._relative.extend(shard.mel_distance_relative)
        self._peak = _larger(self._peak, shard.peak)
        self._worst = _larger(self._worst, shard.worst)

    def totals(self, failed: int) -> Totals:
        """The totals of all rows.

        Args:
            failed: number of rows in failures.jsonl.
        """
        peak, worst = self._peak or (None, None), self._worst or (None, None)
        return Totals(
            self._utterances,
            failed,
            self._seconds,
            mel_distance_median=_median(self._distances),
            mel_distance_relative_median=_median(self._relative),
            mel_distance_worst=worst[0],
            mel_distance_worst_key=worst[1],
            over_full_scale=self._over,
            over_full_scale_samples=self._over_samples,
            peak=peak[0],
            peak_key=peak[1],
        )


def _larger(one: tuple[float, str] | None, other: tuple[float, str] | None) -> tuple[float, str] | None:
    return max((each for each in (one, other) if each is not None), default=None)


def _median(values: array[float]) -> float | None:
    """The median, found in place: the values change their order, and nothing is copied."""
    return float(np.median(np.frombuffer(values), overwrite_input=True)) if values else None
