"""The mels that went in, read again from the store while it is there and they are what they were."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.config import InputConfig
from pipeline.errors import MelmillError
from pipeline.melspec import Conversion, MelSpec
from pipeline.output.published_manifest import PlainRow
from pipeline.report.private_texts import PrivateTexts
from pipeline.report.published_output import PublishedOutput
from pipeline.stores import MelStore, Utterance, open_store
from pipeline.stores.digests import MelDigest
from pipeline.worker.reframing import Reframing

Found = tuple[NDArray[np.float32] | None, str]
"""A mel `[n_mels, frames] float32` in the vocoder's values, and a note; or None, and why."""


class InputMels:
    """Gives the mels of some utterances, converted to the vocoder's contract, as the vocoder was given them.

    Args:
        output: the output that was made of them.
        keys: keys of the utterances that will be asked for.
        wanted: whether the store is to be opened.
    """

    def __init__(self, output: PublishedOutput, keys: Iterable[str], wanted: bool = True) -> None:
        self._store: _Store | None = None
        self._why_not = "The mel that went in was not asked for."
        if wanted:
            try:
                self._store = _Store.of(output, frozenset(keys))
            except (MelmillError, KeyError, TypeError) as error:
                words = str(error) if isinstance(error, MelmillError) else "job.json does not say where it is"
                self._why_not = PrivateTexts.of(output).shown(f"The store cannot be read: {words}")

    def find(self, row: PlainRow) -> Found:
        """The mel that an utterance was made from.

        Args:
            row: its row of the manifest.
        """
        if self._store is None:
            return None, self._why_not
        return self._store.find(row)


@dataclass(frozen=True)
class _Store:
    store: MelStore
    utterances: dict[str, Utterance]
    reframing: Reframing
    conversion: Conversion
    texts: PrivateTexts

    @classmethod
    def of(cls, output: PublishedOutput, keys: frozenset[str]) -> _Store:
        source = InputConfig.model_validate(output.section("input"))
        mel, spec = MelSpec.from_dict(output.described["mel"]), MelSpec.from_dict(output.described["vocoder"]["mel"])
        store = open_store(source.store, source.layout, mel, source.fingerprint, source.options)
        catalogue = store.catalogue()
        positions = [at for at, key in enumerate(catalogue.keys.tolist()) if key in keys]
        return cls(
            store,
            {each.key: each for each in map(catalogue.__getitem__, positions)},
            Reframing.of(mel, spec, source.framing),
            Conversion.between(
                mel if source.framing == "exact" else dataclasses.replace(mel, framing=spec.framing), spec
            ),
            PrivateTexts.of(output),
        )

    def find(self, row: PlainRow) -> Found:
        utterance = self.utterances.get(row["key"])
        if utterance is None:
            return None, "The store no longer has this utterance."
        if utterance.digest != row["source"]["digest"]:
            return None, "The mel in the store is not the one that it was made from."
        try:
            stored = self.store.read(utterance)
            if self.store.digest_is_of_content and _digest(stored) != utterance.digest:
                return None, "The mel in the store is not the one that it was made from: its digest is another one."
            frames = self.reframing.frames(utterance.frames)
            reframed = self.reframing.read(lambda start, stop: stored[:, start:stop], utterance.frames, 0, frames)
            return self.conversion.apply(reframed), ""
        except MelmillError as error:
            return None, self.texts.shown(f"Its mel cannot be read: {error}")


def _digest(stored: NDArray[np.float32]) -> str:
    content = MelDigest()
    content.push(stored.T)
    return content.finish().hex()
