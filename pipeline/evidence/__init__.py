"""Evidence in mel values: do they contradict their contract, and which contract would they fit?

In: samples of mels as arrays, and contracts. Out: contradictions with a message, utterances that do not fit among those
that do, and the contracts that fit. All of it is pure. This room must not know where mels are stored, what a
contradiction leads to (`planning` refuses or warns), or how a vocoder sounds.
"""

from pipeline.evidence.judgement import STRETCH, Judgement, judge, judge_presets, listed, middle, misfit
from pipeline.evidence.reading import Reading, read_values
from pipeline.evidence.sample import Sample, Values, describe_values
from pipeline.evidence.verdict import Contradiction, contradictions, explanations, unjudged

__all__ = [
    "STRETCH",
    "Contradiction",
    "Judgement",
    "Reading",
    "Sample",
    "Values",
    "contradictions",
    "describe_values",
    "explanations",
    "judge",
    "judge_presets",
    "listed",
    "middle",
    "misfit",
    "read_values",
    "unjudged",
]
