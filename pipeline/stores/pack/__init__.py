"""Making ragged mel stores from audio, and from mels as others keep them."""

from pipeline.stores.meta import Metadata, read_metadata
from pipeline.stores.pack.audio import pack_audio
from pipeline.stores.pack.kinds import Kind, kind_of, pack_source
from pipeline.stores.pack.matrices import Axis
from pipeline.stores.pack.npy import pack_npy
from pipeline.stores.pack.result import PackFailure, PackProgress, PackResult

__all__ = [
    "Axis",
    "Kind",
    "Metadata",
    "PackFailure",
    "PackProgress",
    "PackResult",
    "kind_of",
    "pack_audio",
    "pack_npy",
    "pack_source",
    "read_metadata",
]
