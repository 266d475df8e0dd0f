"""What the values of a store look like, and which presets they can be."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.errors import ContractError, StoreError
from pipeline.evidence import Values, contradictions, describe_values, judge_presets
from pipeline.melspec import PRESETS, MelSpec
from pipeline.stores.base import Catalogue, Layout, MelStore
from pipeline.stores.detect import open_store
from pipeline.stores.sample import sample_mels


@dataclass(frozen=True)
class Looks:
    """What was measured on a sample of a store, and which contracts it allows.

    Args:
        frames: how many were looked at.
        values: what they are.
        floors: presets that have the floor that was found.
        fits: presets that nothing contradicts.
        cannot: for the other presets the reasons.
        contradicted: what contradicts the contract that is stated; empty if none is.
    """

    frames: int
    values: Values
    floors: tuple[str, ...]
    fits: tuple[str, ...]
    cannot: dict[str, str]
    contradicted: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**self.__dict__, "values": self.values.to_dict()}


def look_at(store: MelStore, catalogue: Catalogue, spec: MelSpec | None) -> Looks | None:
    """Looks at a sample of a store; None if nothing of it can be read."""
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
    return Looks(
        frames=sample.frames,
        values=values,
        floors=tuple(name for name in judged if values.floor is not None and _ends_at(values.floor, PRESETS[name])),
        fits=tuple(name for name, found in judged.items() if not found),
        cannot={name: "; ".join(each.words for each in found) for name, found in judged.items() if found} | others,
        contradicted=tuple(each.words for each in contradictions(sample, spec)) if spec and fitting else (),
    )


def _ends_at(floor: float, spec: MelSpec) -> bool:
    return abs(floor - spec.stored_floor()) <= 2e-3 * abs(floor)


def open_unstated(url: str, layout: Layout | Literal["auto"]) -> MelStore:
    """A store that need not say which axis holds the mel bands, opened to be looked at.

    If it does not say, a number of bands that a preset has tells.

    Raises:
        StoreError, StorageError: as `open_store`.
    """
    try:
        return open_store(url, layout)
    except StoreError:
        opened = []
        for spec in {each.n_mels: each for each in PRESETS.values()}.values():
            with contextlib.suppress(StoreError, ContractError):
                opened.append(open_store(url, layout, spec).without_limits())
        if len(opened) != 1:  # none fits, or several do
            raise
        return opened[0]
