"""JobConfig: everything that a job file says, checked; and Job: the same with every `auto` resolved."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.errors import ConfigError, redacted
from pipeline.melspec import MelSpec, mel_spec

Codec = Literal["flac", "wav"]
Subtype = Literal["PCM_16", "PCM_24", "FLOAT"]
FramingChange = Literal["exact", "trim", "shift"]
Container = Literal["tar", "files"]

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]


MAX_UTTERANCE_SECONDS = 21600.0
"""Six hours keep a 48 kHz float WAV below its 4 GiB limit."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputConfig(_Section):
    """Where the mels are and what they mean."""

    store: str
    """Path or fsspec URL of the Zarr store."""
    layout: Literal["auto", "ragged", "grouped", "padded"] = "auto"
    mel: Literal["auto"] | str | dict[str, Any] = "auto"
    """`auto` (the contract that the store states), a preset's name, `preset: NAME` with the fields that differ from it,
    or every field of a MelSpec; in a job file and in `--set` also the path of a YAML file that holds these."""
    convert: bool = False
    """Convert log base, floor and normalization to the vocoder's where that is exact."""
    framing: FramingChange = "exact"
    """What to do with a mel whose frames lie half a hop from where the vocoder takes them to be (framing same against
    center): `exact` refuses it; `shift` cuts half a hop of samples from both ends, so that every sample is where it was
    (and repeats the first and last frame of a `same` mel, so that none is lost); `trim` leaves the sound half a hop off
    and drops the frame that is one too many."""
    check_values: bool = True
    """Look at the values of a few dozen utterances, and refuse a store whose values contradict its contract."""
    max_utterance_seconds: PositiveFloat = MAX_UTTERANCE_SECONDS
    """Longer utterances are quarantined."""
    fingerprint: Literal["chunks", "content"] = "chunks"
    """How a changed mel is known in a grouped or padded store: by its chunks (size, and time of change or ETag), or by
    its values, for which planning reads every mel. A ragged store holds digests of the values. Another choice makes the
    shards of such a store anew."""

    @property
    def public_store(self) -> str:
        """The store's URL as it may be written down: without user, password and query."""
        return redacted(self.store)

    def stated_spec(self) -> MelSpec | None:
        """The contract that the job names, or None for `auto`.

        Raises:
            ConfigError: if the preset is unknown or a field is wrong.
        """
        return None if self.mel == "auto" else mel_spec(self.mel)


class VocoderConfig(_Section):
    """What turns mels into audio."""

    name: str = "hifigan-universal"
    """A registered name, or the path of an .onnx that melmill made."""
    runtime: Literal["auto", "onnxruntime", "openvino"] = "auto"
    """What runs nets; `auto` is onnxruntime. OpenVINO is an extra, and its samples differ in their last bits."""
    device: Literal["cpu", "cuda", "cuda-or-cpu"] = "cpu"
    """What nets run on; `cuda-or-cpu` is the CPU, with a warning, where CUDA cannot be used. For CUDA install
    onnxruntime-gpu in place of onnxruntime."""
    window: Annotated[int, Field(ge=16)] | None = None
    """Frames decoded at once; none for what suits the vocoder. It bounds the memory and does not change the samples."""
    batch: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Windows decoded at once; none for one on the CPU, and on CUDA for as many as half of its free memory holds, at
    most 64. Several workers on one card need it set."""

    @model_validator(mode="after")
    def _runtime_has_device(self) -> Self:
        if self.runtime == "openvino" and self.device != "cpu":
            raise ValueError(f"OpenVINO runs on the CPU here; choose runtime: onnxruntime for device: {self.device}")
        return self


class OutputConfig(_Section):
    """What is written, and where."""

    url: str
    container: Container = "tar"
    codec: Codec = "flac"
    subtype: Subtype = "PCM_16"
    shard_seconds: PositiveFloat = 600.0
    sample_rate: Annotated[int, Field(ge=8000, le=48000)] | None = None
    """Of the audio [Hz]; none for the vocoder's own. Another one is resampled to, at the end."""
    loudness: Annotated[float, Field(ge=-50, le=-5)] | None = None
    """Integrated loudness by ITU-R BS.1770 that every utterance is brought to [LUFS]; none to leave the levels alone.
    Needs pyloudnorm, an extra."""
    true_peak: Annotated[float, Field(ge=-20, le=0)] = -1.0
    """With `loudness`: what no utterance's true peak goes over [dBTP]; one that would gets less gain."""

    @model_validator(mode="after")
    def _codec_holds_subtype(self) -> Self:
        if self.codec == "flac" and self.subtype == "FLOAT":
            raise ValueError("FLAC holds no floats; choose codec: wav for subtype: FLOAT, or subtype: PCM_24")
        return self


class ClusterConfig(_Section):
    """Where the work is done."""

    kind: Literal["local", "dask", "synchronous"] = "local"
    address: str | None = None
    """Address of a running scheduler, for kind `dask`."""
    workers: Literal["auto"] | PositiveInt = "auto"
    """Worker processes of a local cluster; `auto` is one a core."""
    threads_per_worker: PositiveInt = 1
    timeout: PositiveFloat = 60.0
    """Seconds to wait for a scheduler to answer, and for a first worker or a new one after the last was lost."""
    shard_timeout: PositiveFloat | None = None
    """Seconds that a worker may take over one shard without finishing one more utterance, before it is taken for hung
    and started anew; none for ten times what the slowest shard so far would have taken, and at least five minutes."""
    grace: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0
    """Seconds that shards in flight are given to finish after Ctrl-C or SIGTERM."""
    insecure: bool = False
    """Allow a scheduler beyond this machine without TLS."""

    @model_validator(mode="after")
    def _address_where_needed(self) -> Self:
        if (self.kind == "dask") != (self.address is not None):
            raise ValueError("kind: dask and address: tcp://host:port belong together")
        return self

    def worker_count(self) -> int:
        """Worker processes of a local cluster."""
        return len(os.sched_getaffinity(0)) if self.workers == "auto" else self.workers


class QualityConfig(_Section):
    """What is measured, and how much may fail."""

    mel_distance: bool = True
    max_failure_rate: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of the utterances that may be quarantined before the run ends with exit code 7 instead of 3."""
    give_up_after: Annotated[int, Field(ge=0)] = 20
    """Stop a run whose first so many utterances all failed with the same kind of error; 0 for never."""


class JobConfig(_Section):
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


def load_job(
    origin: Path | Mapping[str, Any] | None,
    overrides: Mapping[str, Any] = MappingProxyType({}),
    settings: Sequence[str] = (),
) -> JobConfig:
    """A job from a YAML file, the flags given beside it, and `a.b=c` settings, the later over the earlier.

    Args:
        origin: the job file, the values of an earlier job, or None where the flags say everything.
        overrides: dotted key -> value.
        settings: `a.b=c` strings; the value is read as YAML.

    Raises:
        ConfigError: if the file cannot be read, is no mapping, or any key or value is wrong.
    """
    values = read_yaml(origin, "job file") if isinstance(origin, Path) else deepcopy(dict(origin or {}))
    for key, value in overrides.items():
        _put(values, key, value)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {setting}: it must look like output.shard_seconds=60")
        _put(values, key, _parse_yaml(text, f"--set {setting}"))
    mel = values["input"].get("mel") if isinstance(values.get("input"), dict) else None
    if isinstance(mel, str) and mel.endswith((".yaml", ".yml")):
        values["input"]["mel"] = read_yaml(Path(mel), "mel spec")
    for section, needed, flag in (("input", "store", "--store"), ("output", "url", "--out")):
        if not isinstance(values.get(section), dict) or needed not in values[section]:
            raise ConfigError(f"the job names no {section}.{needed}; give it in a job file or with {flag}")
    return JobConfig.build(values, str(origin) if isinstance(origin, Path) else "the command line")


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """The mapping that a YAML file holds; `what` names the file in errors.

    Raises:
        ConfigError: if it cannot be read or holds no mapping.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the {what} {path} cannot be read: {error}") from error
    values = _parse_yaml(text, str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"the {what} {path} must be a mapping, not {type(values).__name__}")
    return values


class _OneOfEachKey(yaml.SafeLoader):
    """YAML where a key that stands twice is an error; PyYAML takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if (key.tag, key.value) in seen:
                what = f"the key {key.value} stands twice"
                raise yaml.constructor.ConstructorError(problem=what, problem_mark=key.start_mark)
            seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def _parse_yaml(text: str, origin: str) -> Any:
    try:
        return yaml.load(text, _OneOfEachKey)
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin} is not YAML: {error}") from error
    except RecursionError:
        raise ConfigError(f"{origin[:80]} is nested too deeply; a job has three levels") from None


def _put(values: dict[str, Any], dotted: str, value: Any) -> None:
    *sections, last = dotted.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{dotted} cannot be set: {section} is {inner!r}, not a section")
        values = inner
    values[last] = value


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
    return "the keys here are " + ", ".join(model.model_fields)


@dataclass(frozen=True)
class Job:
    """A job with everything resolved: what a worker needs besides its task. Small and picklable.

    Args:
        config: the job as the user gave it, with absolute local paths.
        source: the contract of the mels in the store.
        vocoder_digest: what the vocoder is known by; a worker refuses to work with another.
        run_id: the run that this is, for records and logs.
        generation: counts the runs that worked on this output, 1 for the first.
    """

    config: JobConfig
    source: MelSpec
    vocoder_digest: str
    run_id: str
    generation: int
