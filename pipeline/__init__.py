"""melmill: mel-spectrogram corpora in Zarr become verified audio shards and a manifest.

    waveform = pipeline.vocode(mel)                   # [n_mels, frames] float32 -> [samples] float32
    store = pipeline.open_store("mels.zarr")          # its catalogue, its rows, its contract
    job = pipeline.load_job(Path("job.yaml")); pipeline.plan(job); pipeline.run(job); pipeline.verify("audio")
    dataset = pipeline.read("audio")                  # len(dataset); dataset[i] -> key, samples, sample_rate, meta

Names are loaded when they are first asked for: importing one part does not import Dask, Zarr and ONNX Runtime.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.config import JobConfig, load_job
    from pipeline.errors import MelmillError
    from pipeline.jobs.report import RunReport
    from pipeline.jobs.run import RunPlan, plan, run
    from pipeline.jobs.run_part import PartReport, publish_parts, run_part
    from pipeline.melspec import PRESETS, MelSpec
    from pipeline.output.audit import VerifyReport, verify
    from pipeline.output.dataset import AudioDataset, AudioItem, read
    from pipeline.output.garbage import GarbageReport, collect_garbage, find_garbage
    from pipeline.output.status import Status, read_status
    from pipeline.planning.parts import Part
    from pipeline.planning.plan import Plan
    from pipeline.stores import MelStore, open_store
    from pipeline.views.options import ExportOptions
    from pipeline.views.run import ExportReport, export
    from pipeline.vocoders import Vocoder, load_vocoder, vocode

__all__ = [
    "PRESETS",
    "AudioDataset",
    "AudioItem",
    "ExportOptions",
    "ExportReport",
    "GarbageReport",
    "JobConfig",
    "MelSpec",
    "MelStore",
    "MelmillError",
    "Part",
    "PartReport",
    "Plan",
    "RunPlan",
    "RunReport",
    "Status",
    "VerifyReport",
    "Vocoder",
    "collect_garbage",
    "export",
    "find_garbage",
    "load_job",
    "load_vocoder",
    "open_store",
    "plan",
    "publish_parts",
    "read",
    "read_status",
    "run",
    "run_part",
    "verify",
    "vocode",
]

_HOMES = {
    "pipeline.jobs.run_part": ("PartReport", "publish_parts", "run_part"),
    "pipeline.output.audit": ("VerifyReport", "verify"),
    "pipeline.config": ("JobConfig", "load_job"),
    "pipeline.errors": ("MelmillError",),
    "pipeline.output.dataset": ("AudioDataset", "AudioItem", "read"),
    "pipeline.output.garbage": ("GarbageReport", "collect_garbage", "find_garbage"),
    "pipeline.jobs.run": ("RunPlan", "plan", "run"),
    "pipeline.jobs.report": ("RunReport",),
    "pipeline.melspec": ("PRESETS", "MelSpec"),
    "pipeline.planning.parts": ("Part",),
    "pipeline.planning.plan": ("Plan",),
    "pipeline.output.status": ("Status", "read_status"),
    "pipeline.stores": ("MelStore", "open_store"),
    "pipeline.views.options": ("ExportOptions",),
    "pipeline.views.run": ("ExportReport", "export"),
    "pipeline.vocoders": ("Vocoder", "load_vocoder", "vocode"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
