"""The sections of a job file, but `cluster`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from pipeline.config.options import check_options
from pipeline.melspec import MelSpec, mel_spec
from pipeline.redaction import public_url

Codec = Literal["flac", "wav"]
Subtype = Literal["PCM_16", "PCM_24", "FLOAT"]
FramingChange = Literal["exact", "trim", "shift"]
Container = Literal["tar", "files"]

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
ClientOptions = Annotated[dict[str, Any], AfterValidator(check_options)]
"""Options for the client that fsspec has for a URL. `$NAME` stands for an environment variable, which secrets need."""


MAX_UTTERANCE_SECONDS = 21600.0
"""Six hours keep a 48 kHz float WAV below its 4 GiB limit."""


class Section(BaseModel):
    """A part of a job. Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InputConfig(Section):
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
    meta: str | None = None
    """Path of a list (JSON lines, .csv or .tsv) with metadata by key, as `pack --meta` reads it; goes over the store's
    own. Other metadata makes no audio anew, but the manifest."""
    max_utterance_seconds: PositiveFloat = MAX_UTTERANCE_SECONDS
    """Longer utterances are quarantined."""
    fingerprint: Literal["chunks", "content"] = "chunks"
    """How a changed mel is known in a grouped or padded store: by its chunks (size, and time of change or ETag), or by
    its values, for which planning reads every mel. A ragged store holds digests of the values. Another choice makes the
    shards of such a store anew."""
    options: ClientOptions = {}
    """For the URL's client: `endpoint_url: https://...`."""

    @property
    def public_store(self) -> str:
        """The store's URL as it may be written down: without user, password and query."""
        return public_url(self.store)

    def stated_spec(self) -> MelSpec | None:
        """The contract that the job names, or None for `auto`.

        Raises:
            ConfigError: if the preset is unknown or a field is wrong.
        """
        return None if self.mel == "auto" else mel_spec(self.mel)


class VocoderConfig(Section):
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
    """Windows decoded at once; none for one on the CPU, and on CUDA for as many as half of a worker's part of its
    memory holds, at most 64. Workers of a running Dask cluster, and parts of an array, do not know of each other: where
    several share a card, set it."""

    @model_validator(mode="after")
    def _runtime_has_device(self) -> Self:
        if self.runtime == "openvino" and self.device != "cpu":
            raise ValueError(f"OpenVINO runs on the CPU here; choose runtime: onnxruntime for device: {self.device}")
        return self


class OutputConfig(Section):
    """What is written, and where."""

    url: str
    """A local folder, or the URL of one in an object store: `s3://`, `gs://`, `az://`."""
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
    options: ClientOptions = {}
    """For the URL's client."""
    single_writer: bool = False
    """For an object store that has no conditional PUT: nothing but this job's own workers ever writes to the output at
    the same time, so it is enough to look before writing."""

    @model_validator(mode="after")
    def _codec_holds_subtype(self) -> Self:
        if self.codec == "flac" and self.subtype == "FLOAT":
            raise ValueError("FLAC holds no floats; choose codec: wav for subtype: FLOAT, or subtype: PCM_24")
        return self


class QualityConfig(Section):
    """What is measured, and how much may fail."""

    mel_distance: bool = True
    max_failure_rate: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of the utterances that may be quarantined before the run ends with exit code 7 instead of 3."""
    give_up_after: Annotated[int, Field(ge=0)] = 20
    """Stop a run whose first so many utterances all failed with the same kind of error; 0 for never."""
