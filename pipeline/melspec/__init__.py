"""The mel contract: how a log-mel spectrogram was computed from audio, as values.

In: the fields of a contract, a preset's name, or what a user wrote in YAML. Out: `MelSpec` values, the differences
between two of them, and mels converted from one to the other where that is exact. This room must not know where mels or
contracts are stored, or what happens with mels whose contract does not fit.
"""

from pipeline.melspec.conversion import Conversion, convert_mel
from pipeline.melspec.difference import Difference
from pipeline.melspec.normalization import Normalization
from pipeline.melspec.presets import PRESETS, mel_spec, preset, preset_names
from pipeline.melspec.spec import Framing, MelOrigin, MelSpec

__all__ = [
    "PRESETS",
    "Conversion",
    "Difference",
    "Framing",
    "MelOrigin",
    "MelSpec",
    "Normalization",
    "convert_mel",
    "mel_spec",
    "preset",
    "preset_names",
]
