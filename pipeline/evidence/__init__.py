"""Evidence in mel values: do they contradict their contract, which would they fit, and are they predicted?

In: samples of mels as arrays, and contracts. Out: contradictions with a message, utterances that do not fit among those
that do, the contracts that fit, and how smooth mels are. All of it is pure. This room must not know where mels are
stored, what a contradiction leads to (`planning` refuses or warns), or how a vocoder sounds.
"""

from pipeline.evidence.judgement import STRETCH, Judgement, judge, judge_presets, listed, middle, misfit
from pipeline.evidence.reading import Reading, read_values
from pipeline.evidence.sample import Sample, Values, describe_values
from pipeline.evidence.smoothness import LEAST_IN_BANDS, LEAST_IN_TIME, Smoothness, smoothness
from pipeline.evidence.verdict import Contradiction, contradictions, explanations, unjudged

__all__ = [
    "LEAST_IN_BANDS",
    "LEAST_IN_TIME",
    "STRETCH",
    "Contradiction",
    "Judgement",
    "Reading",
    "Sample",
    "Smoothness",
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
    "smoothness",
    "unjudged",
]
