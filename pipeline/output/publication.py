"""What a publication is, as values: its totals, and the commits that it consists of."""

from __future__ import annotations

import dataclasses
import json
import statistics
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.output.records import Row, StoredObject, sealed, unsealed

METADATA = "the metadata of utterances"
"""Part of a publication's state: the digest of what its manifest has as `meta`."""


@dataclass(frozen=True)
class Totals:
    """What a publication holds.

    Args:
        utterances: rows in the manifest.
        failed: rows in failures.jsonl.
        seconds: of audio in the manifest.
        mel_distance_median: over the manifest, or None if it was not measured.
        mel_distance_relative_median: over the manifest, or None if it was not measured.
        mel_distance_worst: the largest one, or None.
        mel_distance_worst_key: the utterance that has it, or None.
        over_full_scale: utterances with samples over full scale before quantization.
        over_full_scale_samples: so many, in all of them.
        peak: the largest absolute sample before quantization; None in what was published before it was kept.
        peak_key: the utterance that has it, or None.
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


class Sums:
    """Adds up manifest rows. A million rows take 16 MB of memory."""

    def __init__(self) -> None:
        self._utterances = 0
        self._seconds = 0.0
        self._distances = array("d")
        self._relative = array("d")
        self._worst: tuple[float, str] | None = None
        self._over = self._over_samples = 0
        self._peak: tuple[float, str] | None = None

    def add(self, row: Row) -> None:
        """Add the next row."""
        self._utterances += 1
        self._seconds += row.duration
        self._over += bool(row.over_full_scale)
        self._over_samples += row.over_full_scale or 0
        self._peak = max(self._peak or (0.0, ""), (row.peak, row.key))
        if row.mel_distance is None or row.mel_distance_relative is None:
            return
        self._distances.append(row.mel_distance)
        self._relative.append(row.mel_distance_relative)
        self._worst = max(self._worst or (0.0, ""), (row.mel_distance, row.key))

    def totals(self, failed: int) -> Totals:
        """The totals of the rows.

        Args:
            failed: number of rows in failures.jsonl.
        """
        totals = Totals(
            self._utterances,
            failed,
            self._seconds,
            over_full_scale=self._over,
            over_full_scale_samples=self._over_samples,
        )
        if self._peak is not None:
            totals = replace(totals, peak=self._peak[0], peak_key=self._peak[1])
        if self._worst is None:
            return totals
        return replace(
            totals,
            mel_distance_median=statistics.median(self._distances),
            mel_distance_relative_median=statistics.median(self._relative),
            mel_distance_worst=self._worst[0],
            mel_distance_worst_key=self._worst[1],
        )


@dataclass(frozen=True)
class Publication:
    """The last publication of an output: to find that there is nothing to do, that nothing was changed, and what of the
    output it does not need.

    Args:
        run_id: of the run that published.
        generation: of that run.
        state: digests of what the publication is made of, to know when another is due, and why; empty in what an
            earlier melmill published.
        complete: whether every shard of the plan could be made.
        commits: names of the commits that it consists of.
        files: manifest.jsonl and failures.jsonl as they were published.
        totals: of its manifest.
    """

    run_id: str
    generation: int
    state: Mapping[str, str]
    complete: bool
    commits: tuple[str, ...]
    files: tuple[StoredObject, ...]
    totals: Totals

    def to_json(self) -> bytes:
        """The publication as it is stored."""
        return (json.dumps(sealed(dataclasses.asdict(self)), indent=2) + "\n").encode()

    @classmethod
    def from_json(cls, text: bytes) -> Publication:
        """The publication that `to_json` wrote. ValueError if it is none, or damaged."""
        plain = unsealed(text)
        try:
            files = tuple(StoredObject(**each) for each in plain["files"])
            commits = tuple(map(str, plain["commits"]))
            state = plain["state"] if isinstance(plain["state"], dict) else {}
            known = {"commits": commits, "files": files, "state": state, "totals": Totals(**plain["totals"])}
            return cls(**{**plain, **known})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a publication: {error!r}") from error


@dataclass(frozen=True)
class Announced:
    """What is about to be published.

    Args:
        run_id: of the run that publishes.
        files: that it puts in place, and those of runs before it that were stopped while they did.
    """

    run_id: str
    files: tuple[StoredObject, ...]

    def to_json(self) -> bytes:
        """As it is stored."""
        return (json.dumps(sealed(dataclasses.asdict(self)), indent=2) + "\n").encode()

    @classmethod
    def from_json(cls, text: bytes) -> Announced:
        """What `to_json` wrote. ValueError if it is none, or damaged."""
        plain = unsealed(text)
        try:
            return cls(str(plain["run_id"]), tuple(StoredObject(**each) for each in plain["files"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"nothing announced: {error!r}") from error
