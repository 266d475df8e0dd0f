"""Which output it is, and what was made, in figures."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.output.published_rows import last_part
from pipeline.report.choosing import SILENT_DBFS
from pipeline.report.figures import Values
from pipeline.report.manifest_scan import ScannedManifest
from pipeline.report.page_data.page import OutputShown, Summary
from pipeline.report.published_output import PublishedOutput


def output_shown(output: PublishedOutput, scan: ScannedManifest) -> OutputShown:
    """Which output a report is of.

    Args:
        output: the output.
        scan: its manifest.
    """
    described, publication, section = output.described, output.publication, output.section("output")
    vocoder = described.get("vocoder")
    vocoder = vocoder if isinstance(vocoder, dict) else {}
    return OutputShown(
        name=output.name,
        url=output.public_url,
        run_id=publication.run_id if publication is not None else str(described.get("run_id", "")),
        generation=publication.generation if publication is not None else int(described.get("generation", 0)),
        started=described.get("started"),
        finished=described.get("finished"),
        complete=publication is not None and publication.complete,
        manifest_sha256=scan.sha256,
        store=_name(output.section("input").get("store")),
        vocoder=_name(vocoder.get("name")),
        vocoder_digest=vocoder.get("digest"),
        container=section.get("container"),
        codec=section.get("codec"),
        subtype=section.get("subtype"),
        sample_rates=tuple(scan.sample_rates),
    )


def summary(output: PublishedOutput, scan: ScannedManifest, failed: int) -> Summary:
    """What was made, in figures.

    Args:
        output: the output.
        scan: its manifest.
        failed: number of rows of failures.jsonl.
    """
    figures, publication = scan.figures, output.publication
    distance = figures["mel_distance"]
    return Summary(
        utterances=len(scan),
        failed=failed,
        seconds=float(np.nansum(figures["duration"])),
        bytes=scan.bytes,
        shards=len(scan.shards.values),
        speakers=_count(scan.speakers.values),
        languages=_count(scan.languages.values),
        mel_distance_median=_median(figures["mel_distance"]),
        mel_distance_relative_median=_median(figures["mel_distance_relative"]),
        mel_distance_worst=None if np.isnan(distance).all() else float(np.nanmax(distance)),
        mel_distance_worst_key=publication.totals.mel_distance_worst_key if publication is not None else None,
        level_median=_median(figures["rms_dbfs"]),
        clipped_utterances=int((figures["clipped"] > 0).sum()),
        over_full_scale_utterances=int((figures["over_full_scale"] > 0).sum()),
        silent_utterances=int((figures["rms_dbfs"] <= SILENT_DBFS).sum()),
    )


def _median(values: Values) -> float | None:
    measured = values[~np.isnan(values)]
    return float(np.median(measured)) if len(measured) else None


def _count(values: list[str]) -> int | None:
    return sum(value != "" for value in values) or None


def _name(place: Any) -> str | None:
    """The last part of a path or URL."""
    return last_part(place) if isinstance(place, str) and place else None
