"""Judges a corpus by its utterances: a few that do not fit their contract never decide for the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.fitting import fitting
from pipeline.evidence.sample import Sample
from pipeline.evidence.verdict import Contradiction, contradictions, explanations
from pipeline.melspec import PRESETS, MelSpec

STRETCH = 512
"""Number of frames from the middle of an utterance by which it is judged alone: 6 s at HiFi-GAN's 22050 Hz."""
_MOST = 0.5  # share of the utterances; if more do not fit, the contract is wrong and not the utterances
# A contradiction is one of the corpus if so many of its utterances show it: the rest may have no silence that would.
_LEAST_SUPPORT = 0.25


@dataclass(frozen=True)
class Judgement:
    """What a sample of a corpus says of its contract.

    Args:
        misfits: reasons by the position in the sample, for utterances that do not fit the contract; empty if the corpus
            is refused.
        kept: the sample without the misfits.
        found: contradictions, each of which is one of the corpus; empty if the values do not refuse the contract.
        others: contracts that the values look like, if there are contradictions.
    """

    misfits: Mapping[int, str]
    kept: Sample
    found: tuple[Contradiction, ...]
    others: tuple[str, ...]

    @property
    def refused(self) -> bool:
        """Whether the contract is not that of the corpus."""
        return bool(self.found)


def middle(frames: int, most: int) -> tuple[int, int]:
    """First frame of a stretch in the middle of an utterance, and the frame after its last one.

    Args:
        frames: length of the utterance [frames].
        most: largest length of the stretch [frames].
    """
    start = max(0, (frames - most) // 2)
    return start, min(frames, start + most)


def misfit(mel: NDArray[np.float32], spec: MelSpec) -> str | None:
    """Why one utterance cannot be of a contract; None if it can, which includes values that are merely unusual.

    An utterance is a misfit if a contradiction is certain, or if another contract explains it.

    Args:
        mel: a stretch of the utterance, `[n_mels, frames] float32`, finite, as stored.
        spec: the contract, with the same number of bands.
    """
    if fitting(spec).certain(mel):
        return None
    sample = Sample((mel,), 1)
    return _misfit(sample, spec, contradictions(sample, spec))


def judge(sample: Sample, spec: MelSpec) -> Judgement:
    """Judges each utterance of a sample alone, then all that fit together.

    The contract is refused if more than half of the utterances are misfits, or if more than half contradict it and a
    quarter are misfits. Otherwise misfits are left out, and the contract is refused if the others contradict it
    together: if another contract explains them, or no waveform can have them.

    Args:
        sample: the sample, with at least one mel, and the contract's number of bands.
        spec: the contract.
    """
    alone = [Sample((mel,), 1) for mel in sample.mels]
    bounds = fitting(spec)
    found = [() if bounds.certain(each.mels[0]) else contradictions(each, spec) for each in alone]
    misfits = {}
    for index, (each, of_it) in enumerate(zip(alone, found, strict=True)):
        if (why := _misfit(each, spec, of_it)) is not None:
            misfits[index] = why
        if len(misfits) > _MOST * len(alone):
            return _of_misfits(sample, spec, list(misfits), found)
    contradicting = [index for index, of_it in enumerate(found) if of_it]
    if len(contradicting) > _MOST * len(alone) and len(misfits) >= _LEAST_SUPPORT * len(alone):
        return _of_misfits(sample, spec, contradicting, found)
    others = [index for index in range(len(alone)) if index not in misfits]
    kept = sample.of(others)
    of_all, explained = _of_corpus(kept, spec)
    if of_all:
        kinds = {each.kind for each in of_all}
        support = [index for index in others if kinds.intersection(each.kind for each in found[index])]
        rest = sample.of([index for index in others if index not in support])
        of_few = "filterbank" not in kinds and len(support) < _LEAST_SUPPORT * len(others)
        if of_few and not _of_corpus(rest, spec)[0]:
            of_all = explained = ()
    return Judgement({} if of_all else misfits, kept, of_all, explained)


def judge_presets(sample: Sample) -> Mapping[str, tuple[Contradiction, ...]]:
    """For each preset with the sample's number of bands, its contradictions: none if the preset fits.

    Contradictions count also if they are not certain and no other contract explains them. Utterances that contradict
    the preset alone are left out, if they are few.
    """
    return {name: _of_most(sample, each) for name, each in PRESETS.items() if each.n_mels == sample.n_mels}


def _of_most(sample: Sample, spec: MelSpec) -> tuple[Contradiction, ...]:
    found = contradictions(sample, spec)
    if not found:
        return ()
    agreeing: list[int] = []
    for index, mel in enumerate(sample.mels):
        if not contradictions(Sample((mel,), 1), spec):
            agreeing.append(index)
        elif index + 1 - len(agreeing) >= _LEAST_SUPPORT * len(sample.mels):
            return found
    return contradictions(sample.of(agreeing), spec)


def _of_misfits(sample: Sample, spec: MelSpec, misfits: list[int], found: list[tuple[Contradiction, ...]]) -> Judgement:
    kept = sample.of(misfits)
    return Judgement({}, kept, contradictions(kept, spec) or found[misfits[0]], explanations(kept, spec))


def _of_corpus(sample: Sample, spec: MelSpec) -> tuple[tuple[Contradiction, ...], tuple[str, ...]]:
    """The contradictions of a sample if they refuse the contract, and the contracts that explain them."""
    found = contradictions(sample, spec)
    explained = explanations(sample, spec) if found else ()
    return (found, explained) if explained or any(each.certain for each in found) else ((), ())


def _misfit(alone: Sample, spec: MelSpec, found: tuple[Contradiction, ...]) -> str | None:
    if not found:
        return None
    explained = explanations(alone, spec)
    if not explained and not any(each.certain for each in found):
        return None
    looks = f". It looks like {listed(explained)}" if explained else ""
    return "; ".join(each.words for each in found) + looks


def listed(names: tuple[str, ...]) -> str:
    """Names as text: "a, b or c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
