"""The job as the page shows it: all that decides about the audio, and nothing private."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.output.layout import MANIFEST
from pipeline.report.page_data.page import JobShown
from pipeline.report.private_texts import PrivateTexts
from pipeline.report.published_output import PublishedOutput

_CLUSTER = ("kind", "workers", "threads_per_worker")
"""All of the section `cluster` that is shown: the rest names machines, accounts and files."""
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_NO_TEXT = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")


def job_shown(output: PublishedOutput, manifest_sha256: str) -> JobShown:
    """The job of an output, with versions and digests.

    Args:
        output: the output.
        manifest_sha256: digest of the manifest that the page is of.
    """
    texts, described = PrivateTexts.of(output), output.described
    vocoder = _mapping(described.get("vocoder"))
    digests = {MANIFEST: manifest_sha256}
    if output.publication is not None:
        digests |= {each.name: each.sha256 for each in output.publication.files if each.name not in digests}
    if vocoder.get("digest"):
        digests["vocoder"] = vocoder["digest"]
    if (metadata := _mapping(described.get("metadata"))).get("digest"):
        digests["metadata"] = metadata["digest"]
    mel, vocoder_mel = described.get("mel"), vocoder.get("mel")
    return JobShown(
        "\n".join(_yaml(texts.value(_public(output)))),
        mel if isinstance(mel, dict) else None,
        vocoder_mel if isinstance(vocoder_mel, dict) else None,
        {name: str(version) for name, version in _mapping(described.get("versions")).items()},
        digests,
        tuple(map(str, described.get("processors") or ())),
    )


def _public(output: PublishedOutput) -> dict[str, Any]:
    job = {name: dict(output.section(name)) for name in ("input", "vocoder", "output", "cluster", "quality")}
    for section in ("input", "output"):
        job[section].pop("options", None)
    job["cluster"] = {key: job["cluster"][key] for key in _CLUSTER if key in job["cluster"]}
    return {name: section for name, section in job.items() if section}


def _yaml(values: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """Plain values as lines of YAML: scalars and lists as JSON, which is YAML."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield f"{'  ' * depth}{name}:"
            yield from _yaml(value, depth + 1)
        else:
            yield f"{'  ' * depth}{name}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    plain = isinstance(value, str) and _WORD.fullmatch(value) and value not in _NO_TEXT
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
