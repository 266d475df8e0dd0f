"""The job file: everything that it says, checked; and a job with every `auto` resolved."""

from pipeline.config.cluster import ClusterConfig, SecurityConfig, is_loopback
from pipeline.config.job import Job, JobConfig
from pipeline.config.options import check_options, resolved
from pipeline.config.reading import load_job, read_yaml
from pipeline.config.sections import (
    MAX_UTTERANCE_SECONDS,
    Codec,
    Container,
    FramingChange,
    InputConfig,
    OutputConfig,
    QualityConfig,
    Subtype,
    VocoderConfig,
)

__all__ = [
    "MAX_UTTERANCE_SECONDS",
    "ClusterConfig",
    "Codec",
    "Container",
    "FramingChange",
    "InputConfig",
    "Job",
    "JobConfig",
    "OutputConfig",
    "QualityConfig",
    "SecurityConfig",
    "Subtype",
    "VocoderConfig",
    "check_options",
    "is_loopback",
    "load_job",
    "read_yaml",
    "resolved",
]
