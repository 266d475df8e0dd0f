"""Decides before any work whether the store's mel contract fits the vocoder's, and says why not."""

from __future__ import annotations

from pipeline.config import FramingChange
from pipeline.errors import ContractError
from pipeline.evidence import Judgement, Sample, judge, listed, unjudged
from pipeline.melspec import Difference, MelSpec
from pipeline.stores import MelStore
from pipeline.vocoders import Vocoder
from pipeline.wording import counted

_NAMED = 5  # number of misfits that a note names


def source_contract(store: MelStore, stated: MelSpec | None) -> MelSpec:
    """The contract of the store's mels: the store's own, or the one that the job states.

    Args:
        store: the store, opened.
        stated: the contract that the job states, or None for `auto`.

    Raises:
        ContractError: if neither states a contract, or they contradict each other.
    """
    if store.spec is None and stated is not None:
        return stated
    if store.spec is None:
        raise ContractError(
            f"the store {store.url} states no mel contract, and one is never assumed. Name it: input.mel: hifigan-22k, "
            f"or every field of it; melmill inspect measures the values and says which presets fit ({store.describe()})"
        )
    if stated is not None and (differences := store.spec.compare(stated)):
        raise ContractError(
            f"the job's input.mel contradicts the contract that the store {store.url} states: "
            + "; ".join(f"{d.field} is {d.values[0]} in the store, {d.values[1]} in the job" for d in differences)
            + ". Leave input.mel out, or pack the store again with the right contract"
        )
    return store.spec


def check_contract(
    store: MelStore, source: MelSpec, vocoder: Vocoder, convert: bool, framing: FramingChange
) -> tuple[Difference, ...]:
    """The differences between the store's contract and the vocoder's, if all of them can be bridged.

    Args:
        store: the store, opened.
        source: contract of the store's mels.
        vocoder: the vocoder that is to decode them.
        convert: whether exact conversions were asked for.
        framing: way to treat a framing that differs.

    Raises:
        ContractError: if they cannot be bridged. The message names every field that differs, both values, and what
            would make them fit.
    """
    if store.n_mels != source.n_mels:
        raise ContractError(
            f"the mels in {store.url} have {store.n_mels} bands, their contract says n_mels = {source.n_mels}"
        )
    differences = source.compare(vocoder.spec)
    impossible = {difference.field for difference in differences if difference.remedy == "impossible"}
    if framing != "exact":
        impossible -= {"framing"}
    if impossible == {"framing"}:
        remedy = (
            "Only the position of the frames differs. Pass --set input.framing=shift, which keeps every sample in its "
            "place, or input.framing=trim, which moves the sound by half a hop"
        )
    elif impossible:
        remedy = (
            "These mels cannot be converted. Compute them by the vocoder's contract, or choose a vocoder for their "
            "contract (melmill vocoder import --mel, if a checkpoint was trained on them)"
        )
    elif any(difference.remedy == "exact" for difference in differences) and not convert:
        remedy = "All of these can be converted exactly: pass --set input.convert=true"
    else:
        return differences
    raise ContractError(
        f"the mels in {store.url} do not fit the vocoder {vocoder.name}: {'; '.join(map(str, differences))}. {remedy}"
    )


def check_values(store: MelStore, sample: Sample, source: MelSpec) -> str | None:
    """Look at a sample of the mels, and refuse values that contradict their contract.

    Values are refused if another contract explains them, or if no waveform can have them. Values that are merely
    unusual are accepted. A few utterances that do not fit decide nothing: they are named here, and a run quarantines
    them.

    Args:
        store: the store, opened.
        sample: the sample, from `sample_mels`.
        source: contract of the store's mels.

    Returns:
        What could not be judged, and which utterances do not fit, as text; None if there is neither.

    Raises:
        ContractError: if the values contradict the contract. The message says what was found, and which contract the
            values look like.
    """
    if not sample.mels:
        return None
    judged = judge(sample, source)
    if not judged.refused:
        why = unjudged(judged.kept, source)
        doubt = why and f"{why} to tell their filterbank and sample rate by the values; the stated ones are trusted"
        return "; ".join(each for each in (doubt, _misfits(sample, judged)) if each) or None
    others = judged.others
    looks = f"They look like {listed(others)}" if others else "They look like no contract that melmill knows"
    raise ContractError(
        f"the values in {store.url} contradict the mel contract that is stated for them: "
        f"{'; '.join(each.words for each in judged.found)}. {looks} ({sample.frames} frames of {len(sample.mels)} "
        "utterances were looked at; melmill inspect says more). State the contract that made them with input.mel, or "
        "pack the store again. If the stated contract is right, pass --set input.check_values=false"
    )


def _misfits(sample: Sample, judged: Judgement) -> str | None:
    """The utterances of the sample that do not fit, as text; the first of them with its reason."""
    if not judged.misfits:
        return None
    keys = [sample.keys[at] for at in judged.misfits]
    named = ", ".join(keys[:_NAMED]) + (f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else "")
    return (
        f"{len(keys)} of {counted(len(sample.mels), 'utterance')} that were looked at "
        f"{'does not fit the mel contract, and is' if len(keys) == 1 else 'do not fit the mel contract, and are'} "
        f"quarantined by a run: {named} ({keys[0]}: {next(iter(judged.misfits.values()))})"
    )
