"""The published rows of an output, read one after the other as often as needed, always from one publication."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from pipeline.errors import StorageError
from pipeline.output.layout import MANIFEST, shard_of
from pipeline.output.ledger import Ledger
from pipeline.output.records import Row
from pipeline.planning.fields import Fields

_NOT_A_ROW = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


class PublishedRows:
    """The rows of an output's manifest. Use it as a context, in which the manifest is open.

    Args:
        ledger: ledger of the output.

    Raises:
        ConfigError: if there is no output, or nothing was published there yet.
        StorageError: if it cannot be read.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.url = ledger.storage.url
        ledger.existing_job()
        self._file = ledger.open_manifest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Row]:
        """The rows, in order; a pass over the manifest.

        Raises:
            StorageError: if a line is not valid.
        """
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            try:
                row = Row.from_dict(json.loads(line))
                if not _is_inside(row):
                    raise ValueError(f"its audio is said to be at {row.object_name!r}, member {row.member!r}")
            except _NOT_A_ROW as error:
                raise StorageError(
                    f"line {number} of {self.url}/{MANIFEST} is not a valid row ({error!r}). `melmill verify "
                    f"{self.url}` says what to do"
                ) from error
            yield row

    @functools.cached_property
    def sha256(self) -> str:
        """Digest of the manifest, as hexadecimal.

        Raises:
            StorageError: if it is not the manifest that a run has published.
        """
        self._file.seek(0)
        found = hashlib.file_digest(self._file, "sha256").hexdigest()
        listings = (self.ledger.publication(), self.ledger.announced())
        known = {each.sha256 for some in listings if some is not None for each in some.files if each.name == MANIFEST}
        if known and found not in known:
            raise StorageError(
                f"{self.url}/{MANIFEST} is not as it was published: its sha256 is {found}. `melmill verify {self.url}` "
                "says what to do"
            )
        return found

    @functools.cached_property
    def fields(self) -> Fields:
        """The fields of the metadata, one type for each: those that the run has written down, or else those found.

        To find them takes a pass over the manifest.
        """
        job, publication = self.ledger.existing_job(), self.ledger.publication()
        written = job.get("metadata", {}).get("fields")
        of_this_run = publication is not None and "counts" in job and job.get("run_id") == publication.run_id
        if written is not None and of_this_run:
            return Fields(dict(sorted(written.items())))
        return Fields.of(row.meta for row in self)


def _is_inside(row: Row) -> bool:
    """Whether the names in a row lead to where an output has audio, and nowhere else."""
    parts = (*row.object_name.split("/"), *row.member.split("/"))
    return shard_of(row.object_name) is not None and {"", ".", ".."}.isdisjoint(parts)
