"""What the values of mels say of the contract they were made by. Pure: arrays and contracts in, findings out."""

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
