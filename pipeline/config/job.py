"""JobConfig: a whole job file, checked; and Job: the same with every `auto` resolved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.config.cluster import KINDS, Cluster, LocalConfig, kinds_with
from pipeline.config.sections import InputConfig, OutputConfig, QualityConfig, Section, VocoderConfig
from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec
from pipeline.redaction import public_url
from pipeline.wording import meant, nearest


class JobConfig(Section):
    """A whole job. Frozen; an unknown key is an error.

    >>> JobConfig.build({"input": {"store": "mels.zarr"}, "output": {"url": "audio"}}).output.codec
    'flac'
    """

    input: InputConfig
    vocoder: VocoderConfig = VocoderConfig()
    output: OutputConfig
    cluster: Cluster = LocalConfig()
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
            problems = "; ".join(map(_problem, error.errors(include_url=False)))
            raise ConfigError(f"{origin}: {problems}") from None
        except RecursionError:
            raise ConfigError(f"{origin[:80]} is nested too deeply; a job has three levels") from None

    def public(self) -> JobConfig:
        """The job as it may be written down and shown: without secrets."""
        source = self.input.model_copy(update={"store": self.input.public_store})
        url = self.output.url
        output = self.output.model_copy(update={"url": public_url(url) if "://" in url else url})
        return self.model_copy(update={"input": source, "output": output})


def _problem(problem: ErrorDetails) -> str:
    """What is wrong with one key, and what is allowed."""
    location = list(problem["loc"])
    kind = ""
    if location[:1] == ["cluster"] and len(location) > 1:
        kind = str(location.pop(1))  # pydantic puts it there, between `cluster` and the key
    where, key = ".".join(map(str, location)) or "job", str(location[-1]) if location else ""
    of_kind = kind and len(location) == 2
    match problem["type"]:
        case "extra_forbidden":
            kinds = kinds_with(key) if of_kind else []
            have = f"kinds {' and '.join(kinds)} have" if len(kinds) > 1 else f"kind {''.join(kinds)} has"
            here = _section(location[:-1], kind).model_fields
            unknown = f"unknown key{_key_meant(key, here)}"
            words = f"{have} this key, and this job has kind {kind}" if kinds else unknown
            return f"{where}: {words}; the keys here are {', '.join(here)}"
        case "missing" if of_kind:
            (example,) = KINDS[kind].model_fields[key].examples or ["..."]
            return f"{where}: kind {kind} needs it, for example {key}: {example}"
        case "union_tag_invalid":
            tag = str(problem["ctx"]["tag"])
            return f"{where}.kind: it is {tag!r}{meant(tag, KINDS)}, and must be {' or '.join(KINDS)}"
        case "literal_error":
            choices = re.findall(r"'([^']*)'", problem["ctx"]["expected"])
            given = problem["input"]
            return f"{where}: it is {given!r:.80}{meant(str(given), choices)}, and must be {' or '.join(choices)}"
        case "missing":
            return f"{where}: it is missing"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"{where}: it must be a mapping of keys to values (it is {problem['input']!r})"
        case _:
            value = "" if isinstance(problem["input"], dict) else f" (it is {problem['input']!r})"
            return f"{where}: {problem['msg'].removeprefix('Value error, ')}{value}"


def _key_meant(key: str, here: Iterable[str]) -> str:
    """A question that names the key that was probably meant: one of this section, or of another."""
    elsewhere = {path.rpartition(".")[2]: path for path in _paths()}
    if key not in elsewhere and (near := meant(key, here)):
        return near
    found = nearest(key, elsewhere)
    return f" (did you mean {elsewhere[found]}?)" if found is not None else ""


def _paths() -> Iterator[str]:
    """Every key of a job as `--set` takes it."""
    for section in JobConfig.model_fields:
        kinds = KINDS.values() if section == "cluster" else [_section([section], "")]
        yield from dict.fromkeys(f"{section}.{key}" for each in kinds for key in each.model_fields)


def _section(location: Sequence[int | str], kind: str) -> type[BaseModel]:
    """The class of a section, found by its place in a job; `kind` is the kind of cluster."""
    model: type[BaseModel] = JobConfig
    for part in location:
        field = KINDS[kind] if part == "cluster" else model.model_fields[str(part)].annotation
        model = next(each for each in (field, *get_args(field)) if hasattr(each, "model_fields"))  # of `Section | None`
    return model


@dataclass(frozen=True)
class Job:
    """A job with everything resolved: what a worker needs besides its task. Small and picklable.

    Args:
        config: the job as the user gave it, with absolute local paths.
        mel: mel contract of the store.
        vocoder_digest: digest of the vocoder; a worker refuses to work with another one.
        run_id: name of this run, for records and logs.
        generation: number of this run among the runs that worked on this output, 1 for the first.
        metadata: digest of the utterances' metadata as it is written, in hexadecimal; empty if there is none.
        given_metadata: the same over the metadata as it is given, which early versions of melmill wrote.
        fields: name of each field of the metadata -> its type; see `planning.fields`.
        versions: versions of what is installed where the job was planned; a worker refuses to work if a version that
            matters is another one there.
        runtime: what runs the vocoder's net; None if it has no net.
        elsewhere: digest of the same vocoder in another runtime, on another device, in another precision or refined
            another number of times -> how its shards are kept, as text.
    """

    config: JobConfig
    mel: MelSpec
    vocoder_digest: str
    run_id: str
    generation: int
    metadata: str = ""
    given_metadata: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    runtime: Literal["native", "onnxruntime"] | None = None
    elsewhere: Mapping[str, str] = field(default_factory=dict)
