"""Which presets the values of a store fit, judged on a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.evidence import Values, describe_values, judge, judge_presets
from pipeline.melspec import PRESETS, MelSpec
from pipeline.stores.base import Catalogue, MelStore
from pipeline.stores.sampling import sample_mels


@dataclass(frozen=True)
class PresetFit:
    """The values of a sample of a store, and the mel contracts that they allow.

    Args:
        frames: number of frames in the sample, without utterances that do not fit the contract.
        values: figures of the sample's values, without the same utterances.
        floors: names of the presets that have the floor that was found.
        fits: names of the presets that the values do not contradict.
        cannot: reasons by name, for the other presets.
        contradicted: reasons why a run would refuse the stated contract; empty if it would not, or none is stated.
        misfits: reasons by key, for utterances of the sample that do not fit the stated contract.
    """

    frames: int
    values: Values
    floors: tuple[str, ...]
    fits: tuple[str, ...]
    cannot: dict[str, str]
    contradicted: tuple[str, ...]
    misfits: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The fit as plain JSON values."""
        return {**self.__dict__, "values": self.values.to_dict()}


def fit_presets(store: MelStore, catalogue: Catalogue, spec: MelSpec | None) -> PresetFit | None:
    """Judges a sample of a store; None if no value of it can be read.

    Args:
        store: store to be sampled.
        catalogue: catalogue of the store.
        spec: mel contract of the store, if one is known.

    Raises:
        StorageError: if storage cannot be reached.
    """
    sample = sample_mels(store, catalogue)
    if not sample.mels:
        return None
    fitting = spec is not None and spec.n_mels == sample.n_mels
    stated = judge(sample, spec) if spec and fitting else None
    misfits = {sample.keys[at]: why for at, why in stated.misfits.items()} if stated else {}
    if stated is not None:
        sample = stated.kept
    values = describe_values(sample)
    judged = judge_presets(sample)
    others = {
        name: f"its mels have {each.n_mels} bands, these {sample.n_mels}"
        for name, each in PRESETS.items()
        if each.n_mels != sample.n_mels
    }
    return PresetFit(
        frames=sample.frames,
        values=values,
        floors=tuple(name for name in judged if values.floor is not None and _ends_at(values.floor, PRESETS[name])),
        fits=tuple(name for name, found in judged.items() if not found),
        cannot={name: "; ".join(each.words for each in found) for name, found in judged.items() if found} | others,
        contradicted=tuple(each.words for each in stated.found) if stated else (),
        misfits=misfits,
    )


def _ends_at(floor: float, spec: MelSpec) -> bool:
    return abs(floor - spec.stored_floor()) <= 2e-3 * abs(floor)
