"""Packing: a ragged mel store made from audio, or from mels in other formats.

In: a folder, list, archive or mel store, and the mel contract of its mels. Out: one new local store, and a result that
names each source that could not be packed. A source is listed by its module here (`audio`, `npy`, `kaldi`, ...) as a
`Corpus`; `run` packs any corpus, in worker processes and with a journal, and resumes after an interruption.
Nothing here knows vocoders, jobs or outputs, and what is in a source is never run as code.
"""

from pipeline.pack.kinds import Kind, kind_of, pack_source
from pipeline.pack.matrices import Axis
from pipeline.pack.result import FAILURES_SUFFIX, PackFailure, PackProgress, PackResult
from pipeline.stores.metadata_lists import Metadata, read_metadata

__all__ = [
    "FAILURES_SUFFIX",
    "Axis",
    "Kind",
    "Metadata",
    "PackFailure",
    "PackProgress",
    "PackResult",
    "kind_of",
    "pack_source",
    "read_metadata",
]
