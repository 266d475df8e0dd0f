"""Which presets the values of a store fit, judged on a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.evidence import Values, contradictions, describe_values, judge_presets
from pipeline.melspec import PRESETS, MelSpec
from pipeline.stores.base import Catalogue, MelStore
from pipeline.stores.sampling import sample_mels


@dataclass(frozen=True)
class PresetFit:
    """The values of a sample of a store, and the mel contracts that they allow.

    Args:
        frames: number of frames in the sample.
        values: figures of the sample's values.
        floors: names of the presets that have the floor that was found.
        fits: names of the presets that no value contradicts.
        cannot: reasons by name, for the other presets.
        contradicted: reasons why the values contradict the stated contract; empty if they do not, or none is stated.
    """

    frames: int
    values: Values
    floors: tuple[str, ...]
    fits: tuple[str, ...]
    cannot: dict[str, str]
    contradicted: tuple[str, ...]

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
    values = describe_values(sample)
    judged = judge_presets(sample)
    others = {
        name: f"its mels have {each.n_mels} bands, these {sample.n_mels}"
        for name, each in PRESETS.items()
        if each.n_mels != sample.n_mels
    }
    fitting = spec is not None and spec.n_mels == sample.n_mels
    return PresetFit(
        frames=sample.frames,
        values=values,
        floors=tuple(name for name in judged if values.floor is not None and _ends_at(values.floor, PRESETS[name])),
        fits=tuple(name for name, found in judged.items() if not found),
        cannot={name: "; ".join(each.words for each in found) for name, found in judged.items() if found} | others,
        contradicted=tuple(each.words for each in contradictions(sample, spec)) if spec and fitting else (),
    )


def _ends_at(floor: float, spec: MelSpec) -> bool:
    return abs(floor - spec.stored_floor()) <= 2e-3 * abs(floor)
