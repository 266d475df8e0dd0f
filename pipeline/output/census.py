"""Sorts the commits and objects of an output by whether they are needed.

A commit is needed if (a) the last publication contains it, (b) the manifest or the index names one of its objects, or
(c) the run that published last, or a later one, made it: a later run may not be finished. All other commits are
superseded. Manifest and index differ from the last publication after a run that was stopped while it published.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from pipeline.errors import ConfigError, StorageError
from pipeline.output.exports import exported_here
from pipeline.output.layout import DATA, INDEX, MANIFEST, PARQUET, of_others, shard_of
from pipeline.output.ledger import Ledger
from pipeline.output.shard_index import indexed_shards
from pipeline.storage import Storage


@dataclass
class Census:
    """Commits and objects, sorted by whether they are needed.

    Args:
        kept: names of commits that are needed.
        needed: names of the objects of `kept`.
        listed: shards as the manifest or the index names them: tars, and folders of files.
        superseded: names of commits that are not needed.
        replaced: names of the objects of `superseded`.
        orphans: names of objects that no commit names.
    """

    kept: set[str]
    needed: set[str]
    listed: set[str]
    superseded: set[str]
    replaced: set[str]
    orphans: list[str]

    @property
    def gone(self) -> set[str]:
        """Commits whose records must be gone before objects are deleted.

        Those of orphans are among them: a process may have deleted their records and died before that was durable.
        """
        return self.superseded | {shard for name in self.orphans if (shard := shard_of(name)) is not None} - self.kept


def take_census(ledger: Ledger) -> Census:
    """Read all commit records, the lists and the names of all objects.

    Raises:
        ConfigError: if the output does not say what was published.
        StorageError: if it cannot be read, or a commit record, the manifest or the index is damaged.
    """
    publication = ledger.publication()
    as_published = {each.name: each.sha256 for each in publication.files} if publication is not None else {}
    listed = _listed(ledger.storage, as_published.get(MANIFEST))
    if publication is None and listed is not None:
        raise ConfigError(
            f"{ledger.storage.url} does not say which commits its {MANIFEST} consists of. Run the job again: that "
            "publishes it again, and makes nothing that is there already"
        )
    listed = (listed or set()) | _indexed(ledger)
    census = Census(set(), set(), listed, set(), set(), [])
    for head in ledger.heads():
        name, objects = head.name, head.objects
        superseded = publication is not None and publication.supersedes(name, head.generation)
        if superseded and not any(_is_listed(each, census) for each in objects):
            census.superseded.add(name)
            census.replaced.update(objects)
        else:
            census.kept.add(name)
            census.needed.update(objects)
    lost = {None, *(publication.commits if publication is not None else ())} - census.kept  # their records, that is
    for name in ledger.storage.list(DATA):
        known = name in census.needed or name in census.replaced or of_others(name) is not None
        if not known and not _is_listed(name, census) and shard_of(name) not in lost:
            census.orphans.append(name)
    return census


def others_beside(ledger: Ledger) -> tuple[str, ...]:
    """Files and folders at the top of the output that are not melmill's, sorted."""
    found = {other for name in ledger.storage.list("") if (other := of_others(name)) is not None}
    ours = exported_here(ledger.storage) | ({PARQUET} if ledger.owns(PARQUET) else set())
    return tuple(sorted(found - ours))


def _listed(storage: Storage, published: str | None) -> set[str] | None:
    """The shards that manifest.jsonl names; None if there is no manifest.

    Args:
        storage: storage of the output.
        published: digest of the manifest that was published last. One that has it names what the publication contains,
            so it is not parsed.
    """
    shards = set()
    try:
        with storage.read(MANIFEST) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == published:
                return set()
            file.seek(0)
            for number, line in enumerate(file, 1):
                try:
                    shards.add(str(json.loads(line)["shard"]))
                except (ValueError, KeyError, TypeError) as error:
                    raise StorageError(
                        f"line {number} of {MANIFEST} of {storage.url} cannot be read: {error!r}. Delete {MANIFEST}, "
                        "then run again to publish it again"
                    ) from error
    except FileNotFoundError:
        return None
    return shards


def _indexed(ledger: Ledger) -> set[str]:
    """The shards that index.json names; none if it is not there, or is a file that no run has written."""
    try:
        return indexed_shards(ledger.storage)
    except FileNotFoundError:
        return set()
    except ValueError as error:
        if not ledger.owns(INDEX):
            return set()
        raise StorageError(
            f"{INDEX} of {ledger.storage.url} cannot be read: {error}. Delete {INDEX}, then run again to publish it "
            "again"
        ) from error


def _is_listed(name: str, census: Census) -> bool:
    """Whether the manifest or the index names an object: as a tar, or as a file in the folder of a shard."""
    parts = name.split("/")
    return any("/".join(parts[:count]) in census.listed for count in range(1, len(parts) + 1))
