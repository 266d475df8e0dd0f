"""What every mel store offers: a catalogue of its utterances, and the mel values of each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self, overload

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BadMelError
from pipeline.melspec import MelSpec

Layout = Literal["ragged", "grouped", "padded"]
Fingerprint = Literal["chunks", "content"]
"""What the digest of an utterance is taken over if its store keeps no digests: the state of its chunks, or its mel."""
Faults = dict[int, str]
"""The reason why an utterance cannot be read, by the utterance's index in the catalogue."""


def add_fault(faults: Faults, index: int, reason: str) -> None:
    """Adds a reason to those that an utterance already has."""
    faults[index] = f"{faults[index]}; {reason}" if index in faults else reason


@dataclass(frozen=True)
class Utterance:
    """One utterance of a store, without its mel.

    Args:
        index: position in the catalogue.
        key: name of the utterance, unique in the store.
        frames: length of the mel [frames].
        digest: digest that identifies the mel, as hexadecimal; another digest means another mel.
        where: place of the mel: its first row in `mel` (ragged), its item (padded), or the path of its array (grouped).
    """

    index: int
    key: str
    frames: int
    digest: str
    where: int | str

    def window(self, start: int, stop: int | None) -> tuple[int, int]:
        """The first frame of a read, and the frame after its last one.

        Args:
            start: first frame.
            stop: frame after the last one; None for the end of the utterance.

        Raises:
            BadMelError: if the utterance has no frames.
            ValueError: if the window is not within the utterance.
        """
        if self.frames <= 0:
            raise BadMelError(f"utterance {self.key!r}: it has no frames")
        end = self.frames if stop is None else stop
        if not 0 <= start < end <= self.frames:
            raise ValueError(f"frames {start} to {end} are not within the {self.frames} frames of {self.key!r}")
        return start, end


class Utterances(Sequence[Utterance]):
    """Some utterances of a catalogue, as columns: thousands of them are pickled in a fraction of a millisecond.

    Args:
        indexes: their positions in the catalogue, `[utterances] int64`.
        keys: their keys.
        frames: length of each mel [frames], `[utterances] int64`.
        digests: digest of each mel, `[utterances, 16] uint8`.
        where: place of each mel, `[utterances] int64`, or a list of texts; see `Utterance`.
    """

    __slots__ = ("_digests", "_frames", "_indexes", "_where", "keys")

    def __init__(
        self,
        indexes: NDArray[np.int64],
        keys: list[str],
        frames: NDArray[np.int64],
        digests: NDArray[np.uint8],
        where: NDArray[np.int64] | list[str],
    ) -> None:
        self._indexes, self.keys, self._frames, self._digests, self._where = indexes, keys, frames, digests, where

    @classmethod
    def of(cls, utterances: Iterable[Utterance]) -> Self:
        """These utterances, whose digests have 16 bytes each and whose places are all of one kind."""
        each = list(utterances)
        where: Any = [one.where for one in each]
        return cls(
            np.array([one.index for one in each], np.int64),
            [one.key for one in each],
            np.array([one.frames for one in each], np.int64),
            np.frombuffer(bytes.fromhex("".join(one.digest for one in each)), np.uint8).reshape(len(each), 16),
            where if where and isinstance(where[0], str) else np.array(where, np.int64),
        )

    @property
    def frames(self) -> int:
        """Length of their mels together [frames]."""
        return int(self._frames.sum())

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._indexes, self.keys, self._frames, self._digests, self._where)

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, at: int) -> Utterance: ...
    @overload
    def __getitem__(self, at: slice) -> Utterances: ...
    def __getitem__(self, at: int | slice) -> Utterance | Utterances:
        if isinstance(at, slice):
            columns = self._indexes, self.keys, self._frames, self._digests, self._where
            return Utterances(*(column[at] for column in columns))  # type: ignore[arg-type]
        where = self._where[at]
        return Utterance(
            index=int(self._indexes[at]),
            key=self.keys[at],
            frames=int(self._frames[at]),
            digest=self._digests[at].tobytes().hex(),
            where=where if isinstance(where, str) else int(where),
        )


@dataclass(frozen=True)
class Catalogue:
    """All utterances of a store, as columns: a million cost tens of megabytes.

    Args:
        keys: key of each utterance, `[utterances]` of numpy's StringDType.
        frames: length of each mel [frames], `[utterances] int64`; 0 if a fault keeps it from being known.
        digests: digest of each mel, `[utterances, 16] uint8`.
        where: place of each mel, `[utterances]` int64 (ragged, padded) or StringDType (grouped).
        faults: reasons by index, with coordinates, for the utterances that the listing already shows to be bad.
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

    def select(self, indexes: NDArray[np.int64]) -> Utterances:
        """The utterances at some positions, `[utterances] int64`, in that order."""
        where = self.where[indexes]
        return Utterances(
            indexes,
            self.keys[indexes].tolist(),
            self.frames[indexes],
            self.digests[indexes],
            where if where.dtype.kind == "i" else where.tolist(),
        )

    def good(self) -> NDArray[np.int64]:
        """Indexes of the utterances without a fault, `[utterances] int64`, ascending."""
        good = np.ones(len(self), np.bool_)
        good[list(self.faults)] = False
        return np.flatnonzero(good)


class MelStore(Protocol):
    """A corpus of mels in Zarr, opened for reading. Opening reads metadata only."""

    url: str
    layout: Layout
    zarr_format: Literal[2, 3]
    n_mels: int
    spec: MelSpec | None
    """The mel contract that the store states, if it states one."""

    digest_is_of_content: bool
    """Whether an utterance's digest is the `MelDigest` of its mel, so that the values that are read can be checked."""

    def describe(self) -> str:
        """Layout, Zarr version, arrays, axes and dtype of the store, in one line for people."""
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
            BadMelError: if the mel holds NaN, infinity or a value that its contract rules out, or has a wrong width.
        """
        ...

    def expect(self, utterances: Sequence[Utterance]) -> None:
        """Says which utterances will be read next. A store may read what lies side by side at once."""
        ...

    def without_limits(self) -> MelStore:
        """The same store, whose `read` also gives values that the mel contract rules out, so that they can be seen."""
        ...

    def meta(self, utterance: Utterance) -> dict[str, Any]:
        """The store's metadata of the utterance (text, speaker, ...), for the manifest; empty if there is none."""
        ...

    def meta_digest(self) -> bytes:
        """Digest of the metadata of all utterances, 16 bytes; empty if the store has no metadata."""
        ...

    def meta_texts(self) -> Iterator[str]:
        """The metadata of each utterance in the catalogue's order, as JSON text; "" if an utterance has none.

        If one cannot be read, the error's message stands in its place.
        """
        ...

    def chunk_bytes(self, first: Utterance, last: Utterance) -> int:
        """Size of all chunks that hold the utterances from `first` to `last`, decoded, each chunk once [bytes]."""
        ...
