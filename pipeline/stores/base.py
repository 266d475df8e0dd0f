"""What every mel store offers: a catalogue of its utterances, and the rows of one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.melspec import MelSpec

Layout = Literal["ragged", "grouped", "padded"]
Fingerprint = Literal["chunks", "content"]
"""What an utterance of a store without digests is known by: the state of its chunks, or the values in them."""


@dataclass(frozen=True)
class Utterance:
    """One utterance of a store. Small and picklable: tasks carry it, never its mel.

    Args:
        index: position in the catalogue.
        key: its name, unique in the store.
        frames: length of its mel [frames].
        digest: what its mel is known by, as hexadecimal; another digest means another mel.
        where: first row of `mel` (ragged), item (padded), or path of its array (grouped).
    """

    index: int
    key: str
    frames: int
    digest: str
    where: int | str


@dataclass(frozen=True)
class Catalogue:
    """All utterances of a store, as columns: a million cost tens of megabytes.

    Args:
        keys: `[utterances]` of numpy's StringDType.
        frames: `[utterances] int64`; 0 where it is not known because the utterance is faulty.
        digests: `[utterances, 16] uint8`.
        where: `[utterances]` int64 (ragged, padded) or StringDType (grouped).
        faults: for the utterances that the listing already shows to be bad, the reason with its coordinates.
    """

    keys: NDArray[Any]
    frames: NDArray[np.int64]
    digests: NDArray[np.uint8]
    where: NDArray[Any]
    faults: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Utterance:
        where = self.where[index]
        return Utterance(
            index=index,
            key=str(self.keys[index]),
            frames=int(self.frames[index]),
            digest=bytes(self.digests[index]).hex(),
            where=str(where) if isinstance(where, str) else int(where),
        )

    def __iter__(self) -> Iterator[Utterance]:
        return (self[index] for index in range(len(self)))


class MelStore(Protocol):
    """A corpus of mels in Zarr, opened for reading. Opening reads metadata only."""

    url: str
    layout: Layout
    zarr_format: Literal[2, 3]
    n_mels: int
    spec: MelSpec | None
    """The mel contract that the store states, if it states one."""

    digest_is_of_content: bool
    """Whether an utterance's digest is the `MelDigest` of its mel, so that what is read can be held against it."""

    def describe(self) -> str:
        """What was found, in one line for people: layout, Zarr version, arrays, axes, dtype."""
        ...

    def catalogue(self) -> Catalogue:
        """All utterances in the store's order.

        Raises:
            StoreError: if the listing itself cannot be read.
        """
        ...

    def read(self, utterance: Utterance, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Frames `start` to `stop` of one utterance's mel, `[n_mels, stop - start] float32`, all finite and possible.

        Raises:
            MissingChunkError: if a chunk, or an inner chunk of a shard, is not there.
            CorruptChunkError: if a chunk does not decode.
            BadMelError: if the mel holds NaN, infinity or a value that no mel of its contract has, or a wrong width.
        """
        ...

    def without_limits(self) -> MelStore:
        """The same store, whose `read` gives values also that no mel of its contract has: to see what they are."""
        ...

    def meta(self, utterance: Utterance) -> dict[str, Any]:
        """The utterance's own metadata (text, speaker, ...), passed through to the manifest; empty if there is none."""
        ...

    def meta_digest(self) -> bytes:
        """Digest of the metadata of all utterances, 16 bytes; empty if the store has none."""
        ...

    def chunk_bytes(self, first: Utterance, last: Utterance) -> int:
        """Decoded bytes of all chunks that reading the utterances from `first` to `last` touches, each chunk once."""
        ...
