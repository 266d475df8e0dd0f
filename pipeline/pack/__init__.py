"""Making ragged mel stores from audio, and from mels as others keep them."""

from pipeline.pack.audio import pack_audio
from pipeline.pack.kinds import Kind, kind_of, pack_source
from pipeline.pack.matrices import Axis
from pipeline.pack.npy import pack_npy
from pipeline.pack.result import PackFailure, PackProgress, PackResult
from pipeline.stores.metadata_lists import Metadata, read_metadata

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
