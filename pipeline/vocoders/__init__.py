"""Vocoders: mel -> waveform."""

from pipeline.vocoders.base import Vocoder
from pipeline.vocoders.one_mel import vocode
from pipeline.vocoders.registry import DEFAULT_VOCODER, load_vocoder
from pipeline.vocoders.sessions import check_device
from pipeline.vocoders.windows import decode_mels, decode_windows

__all__ = ["DEFAULT_VOCODER", "Vocoder", "check_device", "decode_mels", "decode_windows", "load_vocoder", "vocode"]
