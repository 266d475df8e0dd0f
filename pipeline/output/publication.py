"""A publication, as a value: its totals, and the commits that it consists of."""

from __future__ import annotations

import dataclasses
import functools
import statistics
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.output.records import Row, StoredObject, sealed_text, unsealed

METADATA = "the metadata of utterances"
"""Key of a publication's state: the digest of what its manifest has as `meta`."""


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
    """The last publication of an output. It shows whether anything is to be done, whether anything was changed, and
    which objects are no longer needed.

    Args:
        run_id: identifier of the run that published.
        generation: number of that run on this output.
        state: digest of each thing that the publication is made of. A difference says that another publication is due,
            and why. Empty in publications of early versions of melmill.
        complete: whether every shard of the plan could be made.
        commits: names of the commits that the publication consists of.
        files: manifest.jsonl, failures.jsonl and index.json as they were published. Early versions of melmill wrote no
            index.json.
        totals: totals of the manifest.
        superseded: name of each earlier commit that it does not consist of -> size of its objects [bytes]; gc may have
            deleted some since. None in publications of early versions of melmill.
        due: why it is to be published again, as `verify --repair` notes; empty as long as nothing was found.
    """

    run_id: str
    generation: int
    state: Mapping[str, str]
    complete: bool
    commits: tuple[str, ...]
    files: tuple[StoredObject, ...]
    totals: Totals
    # Added later: publications without these fields have these values.
    superseded: Mapping[str, int] | None = None
    due: str = ""

    def supersedes(self, name: str, generation: int) -> bool:
        """Whether a commit is superseded: the publication does not contain it, and it was made before.

        Args:
            name: name of the commit.
            generation: number of the run that made it.
        """
        return generation < self.generation and name not in self._names

    @functools.cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.commits)

    def to_json(self) -> bytes:
        """The publication as it is stored."""
        return sealed_text(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: bytes) -> Publication:
        """The publication that `to_json` wrote. ValueError if it is not valid, or damaged."""
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
    """The files that are about to be published.

    Args:
        run_id: identifier of the run that publishes.
        files: the files that it puts in place, and those of earlier runs that were stopped while they did so.
    """

    run_id: str
    files: tuple[StoredObject, ...]

    def to_json(self) -> bytes:
        """The announcement as it is stored."""
        return sealed_text(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: bytes) -> Announced:
        """The announcement that `to_json` wrote. ValueError if it is not valid, or damaged."""
        plain = unsealed(text)
        try:
            return cls(str(plain["run_id"]), tuple(StoredObject(**each) for each in plain["files"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not an announcement: {error!r}") from error
