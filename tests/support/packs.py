"""Packs a folder of one kind."""

from __future__ import annotations

from pipeline.melspec import MelSpec
from pipeline.pack import Axis, PackResult, pack_source
from pipeline.pack.result import OnProgress


def pack_audio(
    folder: str, out: str, spec: MelSpec, workers: int | None = None, on_progress: OnProgress | None = None
) -> PackResult:
    return pack_source(folder, out, spec, "audio", workers=workers, on_progress=on_progress)


def pack_npy(
    folder: str,
    out: str,
    spec: MelSpec,
    axis: Axis = "auto",
    workers: int | None = None,
    on_progress: OnProgress | None = None,
) -> PackResult:
    return pack_source(folder, out, spec, "npy", axis, workers=workers, on_progress=on_progress)
