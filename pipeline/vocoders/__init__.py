"""Vocoders: mel to waveform, with all that a run needs and no more.

In: the name of a vocoder or the path of an .onnx file, and mels as arrays. Out: waveforms as arrays, whole or in
windows that give the same samples in bounded memory. This room must not know where mels come from or where audio goes,
how a checkpoint becomes a model (`checkpoints` builds it, once), or how vocoders are imported, checked and trained
(`workshop`). Nothing here imports the library `onnx`; `checkpoints` does, for a checkpoint that is not converted yet.
"""

from pipeline.vocoders.ahead import PIECES, decode_ahead, decode_together
from pipeline.vocoders.base import Backend, CompiledVocoder, Vocoder
from pipeline.vocoders.one_mel import vocode
from pipeline.vocoders.refined import Refined, other_refinements
from pipeline.vocoders.registry import DEFAULT_VOCODER, load_vocoder, other_origin, refinements, suits_mels
from pipeline.vocoders.sessions import check_device
from pipeline.vocoders.windows import decode_mels, decode_windows

__all__ = [
    "DEFAULT_VOCODER",
    "PIECES",
    "Backend",
    "CompiledVocoder",
    "Refined",
    "Vocoder",
    "check_device",
    "decode_ahead",
    "decode_mels",
    "decode_together",
    "decode_windows",
    "load_vocoder",
    "other_origin",
    "other_refinements",
    "refinements",
    "suits_mels",
    "vocode",
]
