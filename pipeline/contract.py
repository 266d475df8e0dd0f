"""Does the store's mel contract fit the vocoder's? Decided before any work, in words."""

from __future__ import annotations

from pipeline.errors import ContractError
from pipeline.melspec import Difference, MelSpec
from pipeline.stores import MelStore
from pipeline.vocoders import Vocoder


def source_contract(store: MelStore, stated: MelSpec | None) -> MelSpec:
    """The contract of the mels at hand: the store's own, or the one that the job names.

    Args:
        store: opened.
        stated: what the job says, or None for `auto`.

    Raises:
        ContractError: if neither says anything, or they contradict each other.
    """
    if store.spec is None and stated is not None:
        return stated
    if store.spec is None:
        raise ContractError(
            f"the store {store.url} states no mel contract, and one is never assumed. Name it: input.mel: hifigan-22k, "
            f"or every field of it ({store.describe()})"
        )
    if stated is not None and (differences := store.spec.compare(stated)):
        raise ContractError(
            f"the job's input.mel contradicts the contract that the store {store.url} states: "
            + "; ".join(f"{d.field} is {d.source} in the store, {d.target} in the job" for d in differences)
            + ". Leave input.mel out, or pack the store anew with the right contract"
        )
    return store.spec


def check_contract(store: MelStore, source: MelSpec, vocoder: Vocoder, convert: bool) -> tuple[Difference, ...]:
    """The differences between the mels at hand and what the vocoder takes, if all of them can be bridged.

    Args:
        store: opened.
        source: the contract of its mels.
        vocoder: that shall decode them.
        convert: whether exact conversions were asked for.

    Raises:
        ContractError: naming every field that differs, both values, and what would make them fit.
    """
    if store.n_mels != source.n_mels:
        raise ContractError(
            f"the mels in {store.url} have {store.n_mels} bands, their contract says n_mels = {source.n_mels}"
        )
    differences = source.compare(vocoder.spec)
    if any(difference.remedy == "impossible" for difference in differences):
        remedy = (
            "These mels cannot be converted: compute them by the vocoder's contract, or choose a vocoder for theirs"
        )
    elif any(difference.remedy == "exact" for difference in differences) and not convert:
        remedy = "All of this converts exactly: say --set input.convert=true"
    else:
        return differences
    raise ContractError(
        f"the mels in {store.url} do not fit the vocoder {vocoder.name}: {'; '.join(map(str, differences))}. {remedy}"
    )
