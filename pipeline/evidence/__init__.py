"""Evidence in mel values: do they contradict their contract, and which contract would they fit?

In: samples of mels as arrays, and contracts. Out: contradictions with a message, and the contracts that fit. All of it
is pure. This room must not know where mels are stored, what a contradiction leads to (`planning` refuses or warns), or
how a vocoder sounds.
"""

from pipeline.evidence.reading import Reading, read_values
from pipeline.evidence.sample import Sample, Values, describe_values
from pipeline.evidence.verdict import Contradiction, contradictions, explanations, judge_presets, unjudged

__all__ = [
    "Contradiction",
    "Reading",
    "Sample",
    "Values",
    "contradictions",
    "describe_values",
    "explanations",
    "judge_presets",
    "read_values",
    "unjudged",
]
