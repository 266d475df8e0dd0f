"""A publication, as a value: what its files hold, and the commits that it consists of."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.output.records import StoredObject, sealed_text, unsealed
from pipeline.output.totals import Totals

METADATA = "the metadata of utterances"
"""Key of a publication's state: the digest of what its manifest has as `meta`."""


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
