"""How many superseded shards lie beside the current ones, and how large they are, without reading a shard's record."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.errors import DamagedRecordError, LostRecordError
from pipeline.output.ledger import Ledger
from pipeline.output.publication import Publication


@dataclass(frozen=True)
class Superseded:
    """Shards that the last publication does not consist of, made before it.

    Args:
        shards: the number of superseded shards.
        bytes: size of their objects.
    """

    shards: int = 0
    bytes: int = 0


NOTHING = Superseded()


def superseded_beside(ledger: Ledger) -> Superseded:
    """The superseded shards of an output. Lists commits; reads them only in outputs of early versions of melmill.

    Raises:
        StorageError: if storage fails.
    """
    publication = ledger.publication()
    if publication is None or publication.superseded == {}:
        return NOTHING
    sizes = publication.superseded
    if sizes is None:
        sizes = dict(_sizes(ledger, publication))
    there = [sizes[name] for name in ledger.commit_names() if name in sizes]
    return Superseded(len(there), sum(there))


def _sizes(ledger: Ledger, publication: Publication) -> Iterator[tuple[str, int]]:
    for name in set(ledger.commit_names()).difference(publication.commits):
        with contextlib.suppress(LostRecordError, DamagedRecordError):  # verify finds those
            head = ledger.commit(name).head
            if publication.supersedes(name, head.generation):
                yield name, head.size
