"""The sections of a job file except `cluster`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from pipeline.config.options import check_options
from pipeline.melspec import MelOrigin, MelSpec, mel_spec
from pipeline.redaction import public_url

Codec = Literal["flac", "wav"]
Subtype = Literal["PCM_16", "PCM_24", "FLOAT"]
FramingChange = Literal["exact", "trim", "shift"]
Container = Literal["tar", "files"]
Sidecar = Literal["full", "plain", "none"]
StoreInRows = Literal["name", "url"]

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
ClientOptions = Annotated[dict[str, Any], AfterValidator(check_options)]
"""Options for fsspec's client of a URL. `$NAME` stands for an environment variable: secrets must be written so."""


MAX_UTTERANCE_SECONDS = 21600.0
"""A float WAV of six hours at 48 kHz stays below its limit of 4 GiB."""


class Section(BaseModel):
    """A part of a job. Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InputConfig(Section):
    """Where the mels are and what they mean."""

    store: str
    """Path or fsspec URL of the Zarr store."""
    layout: Literal["auto", "ragged", "grouped", "padded"] = "auto"
    """How the store is laid out; `auto` detects it."""
    mel: Literal["auto"] | str | dict[str, Any] = "auto"
    """Mel contract: `auto` (the contract that the store states), a preset's name, `preset: NAME` with the fields that
    differ from it, or every field of a MelSpec; in a job file and in `--set` also the path of a YAML file that holds
    one of these."""
    convert: bool = False
    """Convert log base, floor and normalization to those of the vocoder where that is exact."""
    framing: FramingChange = "exact"
    """What to do with a mel whose frames lie half a hop away from where the vocoder expects them (framing `same` in
    place of `center`, or the reverse). `exact` refuses the mel. `shift` cuts half a hop of samples from both ends, so
    that every sample keeps its time (and repeats the first and last frame of a `same` mel, so that none is lost).
    `trim` leaves the sound half a hop early or late, and drops the one frame too many."""
    check_values: bool = True
    """Examine the values of a few dozen utterances, and refuse a store whose values contradict its contract. Examine a
    stretch of each utterance that is made, and quarantine it if it does not fit the contract."""
    meta: str | None = None
    """Path of a list (JSON lines, .csv or .tsv) with metadata for each key, as `pack --meta` reads it. It overrides
    the metadata of the store. If it changes, audio is copied into new shards, and nothing is vocoded."""
    max_utterance_seconds: PositiveFloat = MAX_UTTERANCE_SECONDS
    """Longest utterance; longer ones are quarantined."""
    fingerprint: Literal["chunks", "content"] = "chunks"
    """How a changed mel is recognized in a grouped or padded store: by its chunks (size, and time of change or ETag),
    or by its values, for which planning reads every mel. A ragged store holds digests of the values. If this changes,
    all shards of a grouped or padded store are made again."""
    options: ClientOptions = {}
    """Options for the client of the store's URL, such as `endpoint_url: https://...`."""

    @property
    def public_store(self) -> str:
        """URL of the store as it may be written down: without user, password and query."""
        return public_url(self.store)

    def stated_spec(self) -> MelSpec | None:
        """The contract that the job names, or None for `auto`.

        Raises:
            ConfigError: if the preset is not known or a field is wrong.
        """
        return None if self.mel == "auto" else mel_spec(self.mel)


_MOST_REFINEMENTS = 8


def _refinements(value: Any) -> Any:
    """Passes what `refine` may be: a union would name its members in the message."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value == "auto" or (number and 0 <= value <= _MOST_REFINEMENTS):
        return value
    raise ValueError(f"must be auto, or a number from 0 to {_MOST_REFINEMENTS}")


def _no_openvino(runtime: Any) -> Any:
    if runtime == "openvino":
        raise ValueError(
            "melmill no longer uses OpenVINO: its own kernels (native) are more than twice as fast. Set runtime to "
            "auto. Shards that OpenVINO made are then made again, or kept as they are if you do not run the job"
        )
    return runtime


class VocoderConfig(Section):
    """What turns mels into audio."""

    name: str = "hifigan-universal"
    """Name of a vocoder, or path of an .onnx file made by melmill."""
    runtime: Annotated[Literal["auto", "native", "onnxruntime"], BeforeValidator(_no_openvino)] = "auto"
    """What runs nets. `native` are melmill's own compiled kernels, for HiFi-GAN on the CPU; where they cannot be used,
    that is an error. `auto` takes them where they can be used, and onnxruntime elsewhere. Their samples differ from
    those of onnxruntime by 1e-4 of full scale at most."""
    precision: Literal["float32", "mixed"] = "float32"
    """Precision of a net's products. `mixed` is for more speed. On the CPU it multiplies most of HiFi-GAN's numbers as
    bfloat16, which needs native kernels and a processor with AVX512_BF16. On a GPU they are float16.
    Its samples differ from those of float32 by noise 40 dB below them, so it counts as another vocoder."""
    device: Literal["cpu", "cuda", "cuda-or-cpu"] = "cpu"
    """Processor that runs networks. `cuda-or-cpu` uses the CPU, with a warning, where CUDA cannot be used. For CUDA
    install onnxruntime-gpu in place of onnxruntime."""
    mels: Literal["auto", "recorded", "predicted"] = "auto"
    """What the mels are of: recordings, or an acoustic model, whose mels are smoother than any recording's. Lift and
    griffin-lim run fewer iterations for predicted mels, and `refine: auto` depends on it. `auto` is decided once for an
    output, when it is planned for the first time, by a sample of the store's mels."""
    refine: Annotated[
        Literal["auto"] | Annotated[float, Field(ge=0, le=_MOST_REFINEMENTS)], BeforeValidator(_refinements)
    ] = "auto"
    """Number of times that a net's waveform is projected onto the mel that it was made from, with its own phases; 0.5
    goes half of the way. It brings HiFi-GAN nearer to recordings. It counts as another vocoder. Griffin-lim and lift,
    which iterate themselves, are refused. `auto` is 0.8 for `hifigan-universal` and `hifigan-ljspeech` on recorded
    mels, and 0 for all else; an output that was begun keeps what it was begun with."""
    window: Annotated[int, Field(ge=16)] | None = None
    """Number of frames decoded at once. If null: what suits the vocoder. It bounds the memory, and does not change the
    samples."""
    batch: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Number of windows decoded at once. If null: one on the CPU; on CUDA as many as fit into half of a worker's share
    of the GPU memory, at most 64. Workers of a running Dask cluster, and parts of an array job, do not know of each
    other: set this key if several of them share a GPU."""

    @property
    def origin(self) -> MelOrigin | None:
        """What the mels are taken as; None where that was not decided, since the vocoder treats all mels alike."""
        return None if self.mels == "auto" else self.mels

    @property
    def refinements(self) -> float:
        """`refine`, which planning has resolved."""
        assert self.refine != "auto"
        return self.refine

    @model_validator(mode="after")
    def _runtime_has_device(self) -> Self:
        if self.runtime == "native" and self.device != "cpu":
            raise ValueError(
                f"the native kernels run on the CPU; choose runtime: auto or onnxruntime for device: {self.device}"
            )
        return self

    @model_validator(mode="after")
    def _precision_has_kernels(self) -> Self:
        native = self.device == "cpu" and self.runtime != "onnxruntime"
        if self.precision == "mixed" and not native and self.device != "cuda":
            raise ValueError(
                "precision: mixed needs the native kernels on the CPU, or a GPU; choose runtime: auto and device: cpu, "
                f"or device: cuda, or precision: float32 (runtime is {self.runtime}, device {self.device})"
            )
        return self


class OutputConfig(Section):
    """What is written, and where."""

    url: str
    """Local folder, or URL of a folder in an object store: `s3://`, `gs://`, `az://`."""
    container: Container = "tar"
    """Whether a shard is a tar or a folder of files."""
    codec: Codec = "flac"
    """Audio format."""
    subtype: Subtype = "PCM_16"
    """Sample format; FLOAT needs codec `wav`."""
    sidecar: Sidecar = "plain"
    """What lies beside each audio: a JSON file with key, length and metadata (`plain`); the same with text, speaker,
    language and the figures that readers filter by (`full`); or nothing (`none`). If this changes, audio is copied into
    new shards, and nothing is vocoded."""
    shard_seconds: PositiveFloat | None = None
    """Seconds of audio in a shard. If null: as in the shards that the output has; in a new output 600, or less if
    workers would have nothing to do at the end."""
    sample_rate: Annotated[int, Field(ge=8000, le=48000)] | None = None
    """Sample rate of the audio [Hz]. If null: that of the vocoder; otherwise the audio is resampled at the end."""
    loudness: Annotated[float, Field(ge=-50, le=-5)] | None = None
    """Integrated loudness by ITU-R BS.1770 that every utterance is brought to [LUFS]. If null: levels stay as they are.
    Needs pyloudnorm, an extra."""
    true_peak: Annotated[float, Field(ge=-20, le=0)] = -1.0
    """Highest true peak of an utterance [dBTP], with `loudness`: an utterance that would exceed it gets less gain."""
    manifest: tuple[Literal["jsonl", "parquet"], ...] = ("jsonl",)
    """Forms of the manifest: always `jsonl`; with `parquet`, a manifest.parquet lies beside it, for which pyarrow is
    needed, an extra."""
    store_in_rows: StoreInRows = "name"
    """What `source.store` of a row says: the store's name, such as `mels.zarr`, or its whole path or URL."""
    superseded: Literal["keep", "delete"] = "keep"
    """What becomes of shards that a publication no longer consists of. `delete` deletes them right after it, as `gc`
    does, if every shard could be made and the run does not end with exit code 7."""
    options: ClientOptions = {}
    """Options for the client of the output's URL."""
    single_writer: bool = False
    """For an object store without conditional PUT: states that nothing except the workers of this job writes to the
    output at the same time, so that it is enough to look before writing."""

    @field_validator("manifest")
    @classmethod
    def _manifest_has_lines(cls, forms: tuple[str, ...]) -> tuple[str, ...]:
        if "jsonl" not in forms or len(set(forms)) < len(forms):
            raise ValueError(
                f"a manifest is [jsonl] or [jsonl, parquet], not [{', '.join(forms)}]: melmill reads manifest.jsonl"
            )
        return forms

    @model_validator(mode="after")
    def _codec_holds_subtype(self) -> Self:
        if self.codec == "flac" and self.subtype == "FLOAT":
            raise ValueError(
                "FLAC cannot hold floats; set codec to wav to keep subtype FLOAT, or set subtype to PCM_24"
            )
        return self


class QualityConfig(Section):
    """What is measured, and how much may fail."""

    mel_distance: bool = True
    """Measure the distance between each mel and the mel of its audio."""
    max_failure_rate: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of the utterances that may be quarantined; above it, the run ends with exit code 7 instead of 3."""
    max_clipped_rate: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the samples that may be clipped; above it, the run ends with exit code 7. 1 accepts any number."""
    give_up_after: Annotated[int, Field(ge=0)] = 20
    """Number of utterances after which a run stops if all of them failed with the same kind of error; 0 for never."""
