"""Making ragged mel stores from audio and from .npy mels."""

from pipeline.stores.pack.audio import pack_audio
from pipeline.stores.pack.npy import pack_npy
from pipeline.stores.pack.result import PackFailure, PackProgress, PackResult

__all__ = ["PackFailure", "PackProgress", "PackResult", "pack_audio", "pack_npy"]
