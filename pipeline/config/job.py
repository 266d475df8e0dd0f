"""JobConfig: a whole job file, checked; and Job: the same with every `auto` resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import ValidationError

from pipeline.config.cluster import ClusterConfig
from pipeline.config.sections import InputConfig, OutputConfig, QualityConfig, Section, VocoderConfig
from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec
from pipeline.redaction import public_url


class JobConfig(Section):
    """A whole job. Frozen; an unknown key is an error.

    >>> JobConfig.build({"input": {"store": "mels.zarr"}, "output": {"url": "audio"}}).output.codec
    'flac'
    """

    input: InputConfig
    vocoder: VocoderConfig = VocoderConfig()
    output: OutputConfig
    cluster: ClusterConfig = ClusterConfig()
    quality: QualityConfig = QualityConfig()

    @classmethod
    def build(cls, values: Mapping[str, Any], origin: str = "job") -> JobConfig:
        """The job that nested plain values describe.

        Raises:
            ConfigError: naming each wrong key, its value and what is allowed.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(_explain(error, origin)) from None
        except RecursionError:
            raise ConfigError(f"{origin[:80]} is nested too deeply; a job has three levels") from None

    def public(self) -> JobConfig:
        """The job as it may be written down and shown: without secrets."""
        source = self.input.model_copy(update={"store": self.input.public_store})
        url = self.output.url
        output = self.output.model_copy(update={"url": public_url(url) if "://" in url else url})
        return self.model_copy(update={"input": source, "output": output})


def _explain(error: ValidationError, origin: str) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        where = ".".join(map(str, problem["loc"])) or "job"
        if problem["type"] == "extra_forbidden":
            lines.append(f"{where}: unknown key; {_known_keys(problem['loc'])}")
        else:
            value = "" if isinstance(problem["input"], dict) else f" (it is {problem['input']!r})"
            lines.append(f"{where}: {problem['msg'].removeprefix('Value error, ')}{value}")
    return f"{origin}: " + "; ".join(lines)


def _known_keys(location: tuple[int | str, ...]) -> str:
    model: Any = JobConfig
    for part in location[:-1]:
        model = model.model_fields[part].annotation
        model = next((each for each in get_args(model) if hasattr(each, "model_fields")), model)  # of `Section | None`
    return "the keys here are " + ", ".join(model.model_fields)


@dataclass(frozen=True)
class Job:
    """A job with everything resolved: what a worker needs besides its task. Small and picklable.

    Args:
        config: the job as the user gave it, with absolute local paths.
        mel: the contract of the mels in the store.
        vocoder_digest: what the vocoder is known by; a worker refuses to work with another.
        run_id: the run that this is, for records and logs.
        generation: counts the runs that worked on this output, 1 for the first.
        metadata: digest of the utterances' metadata, as hexadecimal; empty where there is none.
        versions: what is installed where it was planned; a worker on which others are that matter refuses to work.
    """

    config: JobConfig
    mel: MelSpec
    vocoder_digest: str
    run_id: str
    generation: int
    metadata: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
