"""MelSpec: the mel contract, its presets, comparison, and the conversions that are exact."""

from pipeline.melspec.conversion import convert_mel
from pipeline.melspec.difference import Difference
from pipeline.melspec.normalization import Normalization
from pipeline.melspec.presets import PRESETS, mel_spec, preset, preset_names
from pipeline.melspec.spec import Framing, MelSpec

__all__ = [
    "PRESETS",
    "Difference",
    "Framing",
    "MelSpec",
    "Normalization",
    "convert_mel",
    "mel_spec",
    "preset",
    "preset_names",
]
