"""The ledger of one output: which job it belongs to, what is committed, what is stale, what was published last."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, DamagedRecordError
from pipeline.output.commits import Commits
from pipeline.output.layout import (
    DATA,
    FAILURES,
    INDEX,
    JOB,
    MANIFEST,
    PARQUET,
    PUBLISHED,
    PUBLISHING,
    RECEIPT,
    of_others,
)
from pipeline.output.publication import Announced, Publication
from pipeline.output.records import sealed_text, unsealed
from pipeline.storage import LocalStorage, exists

_ZARR = ("zarr.json", ".zgroup", ".zarray")
"""Files that say: this folder is a group or an array of Zarr, v3 or v2."""


def not_published(url: str) -> str:
    """What is wrong with an output that has no manifest, and what to do, as text."""
    return (
        f"{url} has no {MANIFEST}: no run has published there yet. Wait for the run that is at work, or run it again "
        f"(melmill status {url})"
    )


class Ledger(Commits):
    """Reads and writes what an output says of itself: job.json, commit records, stale marks and publications.

    Args:
        storage: storage of the output.
    """

    # ---- the job of the output

    def job(self) -> dict[str, Any] | None:
        """What job.json says, or None for a new output.

        If job.json was lost, the part of it that the commit records know: the generation, and the store.

        Raises:
            ConfigError: if job.json cannot be read, or files that are not melmill's are in the way.
            StorageError: if storage fails.
        """
        described = self._job_json() or self._job_of_commits()
        if described is not None:
            return described
        if (stranger := self._in_the_way()) is not None:
            if (described := self._job_json()) is not None:  # another run has just begun
                return described
            holds = f"the output {self.storage.url} holds {stranger} but no {JOB}"
            if stranger in _ZARR:
                raise ConfigError(f"{holds}, so it is a Zarr store. Choose another folder")
            raise ConfigError(
                f"{holds}, so {stranger} is not melmill's, and lies where melmill writes. Move it away, or choose "
                "another folder"
            )
        return None

    def _in_the_way(self) -> str | None:
        """A file of other people for which a new output has no room; other files may lie beside it."""
        lists = (name for name in (*_ZARR, MANIFEST, FAILURES, INDEX) if exists(self.storage, name))
        objects = (name for name in self.storage.list(DATA) if of_others(name) is None)
        return next(chain(lists, objects), None)

    def _job_json(self) -> dict[str, Any] | None:
        try:
            with self.storage.read(JOB) as file:
                described = unsealed(file.read())
            if "generation" not in described:
                raise ValueError("it does not describe a melmill job")
            return described
        except FileNotFoundError:
            return None
        except ValueError as error:
            remedy = "Delete it and run again: it is written again" if self.commit_names() else "Choose another output"
            raise ConfigError(f"{self.storage.url}/{JOB} is not as melmill writes it: {error}. {remedy}") from error

    def write_job(self, described: Mapping[str, Any]) -> None:
        """Replace job.json."""
        self.storage.replace(JOB, sealed_text(described))

    def delete_job(self) -> None:
        """Delete job.json. The next run writes it again from the commits."""
        self.storage.delete(JOB)

    def existing_job(self) -> dict[str, Any]:
        """What job.json says of an output that must exist; empty if job.json was lost.

        Raises:
            ConfigError: if job.json cannot be read, or there is no melmill output.
        """
        described = self._job_json()
        if described is None and not self.commit_names():
            what = f"there is no {JOB}" + ("; it is an export" if exists(self.storage, RECEIPT) else "")
            if isinstance(self.storage, LocalStorage) and not self.storage.root.exists():
                what = "there is no such folder"
            raise ConfigError(
                f"{self.storage.url} holds no melmill output: {what}. Give the folder that a run wrote to"
            )
        return described or {}

    def open_manifest(self) -> io.BufferedReader:
        """manifest.jsonl, opened for reading and seeking.

        Raises:
            ConfigError: if nothing was published yet.
            StorageError: if it cannot be read.
        """
        try:
            return self.storage.read(MANIFEST)
        except FileNotFoundError as error:
            raise ConfigError(not_published(self.storage.url)) from error

    def _job_of_commits(self) -> dict[str, Any] | None:
        generation, store = 0, None
        for name in self.commit_names():
            with contextlib.suppress(DamagedRecordError):
                commit = self._read_commit(name)
                if commit is not None and commit.head.generation > generation:
                    generation = commit.head.generation
                    store = commit.store or store
        if not generation:
            return None
        if (publication := self.publication()) is not None:  # it may consist of commits of earlier runs alone
            generation = max(generation, publication.generation)
        return {"generation": generation, "job": {"input": {"store": store}}}

    # ---- publication

    def publication(self) -> Publication | None:
        """What was published last; None if nothing was, or if published.json is damaged."""
        try:
            return self.read_publication()
        except (FileNotFoundError, ValueError):
            return None

    def read_publication(self) -> Publication:
        """What was published last. FileNotFoundError if nothing was, ValueError if published.json is damaged."""
        with self.storage.read(PUBLISHED) as file:
            return Publication.from_json(file.read())

    def publish(self, folder: Path, publication: Publication, described: Mapping[str, Any]) -> None:
        """Put a publication in place. Each of its files replaces the one before atomically.

        The order is: announce the publication, then failures.jsonl, index.json, manifest.parquet, manifest.jsonl,
        published.json, and job.json with the counts. So wherever this is stopped, manifests and index name only what is
        there, their digests are known, and counts in job.json say that all is published.

        Args:
            folder: scratch folder that holds the publication's files, under their names in the output.
            publication: the publication; the commits that it names are durable.
            described: content of job.json without the counts.
        """
        self._announce(publication)
        self.storage.replace(FAILURES, folder / FAILURES)
        self.storage.replace(INDEX, folder / INDEX)
        if any(each.name == PARQUET for each in publication.files):
            self.storage.replace(PARQUET, folder / PARQUET)
        elif self.owns(PARQUET):  # of a publication before, whose rows are not those of now
            self.storage.delete(PARQUET)
        self.storage.replace(MANIFEST, folder / MANIFEST)
        self.storage.replace(PUBLISHED, publication.to_json())
        self.write_job({**described, "counts": dataclasses.asdict(publication.totals)})

    def _announce(self, publication: Publication) -> None:
        """Write down what is about to be published, before any of it is in place."""
        before, last = self.announced(), self.publication()
        files = publication.files
        if before is not None and (last is None or last.run_id != before.run_id):
            files += before.files  # that publication was stopped, and some of its files may be in place
        self.storage.replace(PUBLISHING, Announced(publication.run_id, tuple(dict.fromkeys(files))).to_json())

    def owns(self, name: str) -> bool:
        """Whether a run has published a list of this name, or was about to.

        Early versions of melmill wrote no index.json, and not every job asks for a manifest.parquet.
        """
        listings = (self.publication(), self.announced())
        return any(each.name == name for listing in listings if listing is not None for each in listing.files)

    def announced(self) -> Announced | None:
        """What was announced last; None if nothing was, or if publishing.json is damaged."""
        try:
            with self.storage.read(PUBLISHING) as file:
                return Announced.from_json(file.read())
        except (FileNotFoundError, ValueError):
            return None

    def forget_superseded(self) -> None:
        """Note that nothing is left of the commits that the last publication superseded."""
        if (publication := self.publication()) is not None:
            self.storage.replace(PUBLISHED, dataclasses.replace(publication, superseded={}).to_json())

    def publish_again(self, reason: str) -> None:
        """Have the next run publish again. What was published stays known until then.

        Args:
            reason: why, as text for the plan.
        """
        if (publication := self.publication()) is not None:  # else the next run publishes anyway
            self.storage.replace(PUBLISHED, dataclasses.replace(publication, due=reason).to_json())
