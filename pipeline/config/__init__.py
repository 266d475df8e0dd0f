"""The job file: sections with their keys and defaults, checked when they are read.

`load_job` reads a YAML file, flags and settings, and gives a `JobConfig`: frozen, every key checked, `auto` where the
user left a choice. `Job` is the same with every `auto` resolved, for the workers. Wrong keys and values are a
ConfigError that names the key, its value and what is allowed. This room opens no store and no output, and knows nothing
of how a job is done.
"""

from pipeline.config.cluster import (
    ClusterConfig,
    DaskConfig,
    KubernetesConfig,
    LocalConfig,
    SecurityConfig,
    SlurmConfig,
    SynchronousConfig,
    importing_dask,
    is_loopback,
    memory_bytes,
)
from pipeline.config.job import Job, JobConfig
from pipeline.config.options import check_options, resolved
from pipeline.config.reading import load_job, named_mel
from pipeline.config.sections import (
    MAX_UTTERANCE_SECONDS,
    Codec,
    Container,
    FramingChange,
    InputConfig,
    OutputConfig,
    QualityConfig,
    Sidecar,
    StoreInRows,
    Subtype,
    VocoderConfig,
)

__all__ = [
    "MAX_UTTERANCE_SECONDS",
    "ClusterConfig",
    "Codec",
    "Container",
    "DaskConfig",
    "FramingChange",
    "InputConfig",
    "Job",
    "JobConfig",
    "KubernetesConfig",
    "LocalConfig",
    "OutputConfig",
    "QualityConfig",
    "SecurityConfig",
    "Sidecar",
    "SlurmConfig",
    "StoreInRows",
    "Subtype",
    "SynchronousConfig",
    "VocoderConfig",
    "check_options",
    "importing_dask",
    "is_loopback",
    "load_job",
    "memory_bytes",
    "named_mel",
    "resolved",
]
