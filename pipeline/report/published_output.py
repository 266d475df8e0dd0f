"""An output whose manifest is published, opened to be reported on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.output.ledger import Ledger
from pipeline.output.publication import Publication
from pipeline.output.published_manifest import PublishedManifest
from pipeline.output.published_rows import last_part
from pipeline.redaction import redacted
from pipeline.storage import NO_OPTIONS, Storage, open_storage
from pipeline.storage.ranges import Ranges


@dataclass(frozen=True)
class PublishedOutput:
    """An output, with what it says of itself.

    Args:
        storage: its storage.
        ledger: its ledger.
        ranges: the same place, to read bytes of audio.
        described: what job.json says; empty if it is lost.
        publication: what was published last; None if published.json is lost or damaged.
    """

    storage: Storage
    ledger: Ledger
    ranges: Ranges
    described: Mapping[str, Any]
    publication: Publication | None

    @classmethod
    def open(cls, url: str, options: Mapping[str, Any] = NO_OPTIONS) -> PublishedOutput:
        """The output at a path or URL.

        Args:
            url: path or URL of the output.
            options: options for the client of an object store; may name environment variables.

        Raises:
            ConfigError: if there is no output, or nothing is published there.
            StorageError: if it cannot be read.
        """
        ledger = Ledger(open_storage(url, options))
        described = ledger.existing_job()
        opened = cls(ledger.storage, ledger, Ranges(ledger.storage.url, options), described, ledger.publication())
        with opened.manifest():  # which must be there
            return opened

    @property
    def url(self) -> str:
        """Path or URL, as commands take it."""
        return self.storage.url

    @property
    def name(self) -> str:
        """Last part of the URL."""
        return last_part(self.url)

    @property
    def public_url(self) -> str:
        """The URL without secrets, if it is that of an object store; the name of a folder, since paths are private."""
        return redacted(self.url) if "://" in self.url else self.name

    def manifest(self) -> PublishedManifest:
        """The manifest, opened. Raises ConfigError if there is none."""
        return PublishedManifest(self.ledger)

    def section(self, name: str) -> Mapping[str, Any]:
        """A section of the job that made the output, or a part of job.json; empty if it is lost."""
        job = self.described.get("job")
        found = job.get(name) if isinstance(job, dict) else None
        return found if isinstance(found, dict) else {}
