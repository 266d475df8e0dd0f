"""The figures of a run as a file for node_exporter's textfile collector. No part of melmill reads them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.errors import ConfigError, OwnedError, StorageError
from pipeline.events import Event, RunFinished
from pipeline.events.tally import Tally
from pipeline.redaction import public_url
from pipeline.storage.atomic import atomic_write

_STAGES = "melmill_last_run_stage_seconds"
GAUGES = {
    "melmill_last_success_timestamp_seconds": "Time at which a run last ended well, with or without work to do.",
    "melmill_last_run_timestamp_seconds": "Time at which the last run ended.",
    "melmill_last_run_success": "Whether the last run ended well: 1 or 0. Some quarantined utterances are allowed.",
    "melmill_last_run_duration_seconds": "Duration of the last run.",
    "melmill_last_run_hours": "Hours of audio that the last run made.",
    "melmill_last_run_times_real_time": "Hours of audio that the last run made per hour.",
    _STAGES: "Seconds that all workers of the last run together spent on what it committed, by stage.",
    "melmill_utterances": "Number of rows of the manifest.",
    "melmill_hours": "Hours of audio in the manifest.",
    "melmill_failures": "Number of rows of failures.jsonl.",
}
"""Name of a gauge -> its help text. All gauges have the label `output`; that of the stages has `stage`, too."""

_KEPT = ("melmill_last_success_timestamp_seconds", "melmill_utterances", "melmill_hours", "melmill_failures")
"""Gauges whose value stays if a run cannot know a new one."""


class MetricsFile:
    """Listens to a run and, when the context ends, writes the run's figures in place of the file, atomically.

    The file can be read as Prometheus' text format and as OpenMetrics. A run that fails does not know some figures,
    such as the time of the last success: these stay as the file had them. A run that is kept out by another run
    (OwnedError) leaves the file as it is.

    Args:
        path: path of the file; the collector reads names that end with `.prom`.
        output: URL or path of the output, a label.

    Raises:
        ConfigError: if the folder of the file does not exist or cannot be written to.
    """

    def __init__(self, path: Path, output: str) -> None:
        if not os.access(path.parent, os.W_OK | os.X_OK) or path.is_dir():
            raise ConfigError(
                f"the metrics file {path} cannot be written: {path.parent} must be a folder that you may write to, and "
                f"{path.name} must not be a folder. Choose another file with --metrics"
            )
        self._path = path
        place = public_url(output) if "://" in output else os.path.abspath(output)
        self._output = place.encode("utf-8", "backslashreplace").decode()
        self._tally = Tally()
        self._finished: RunFinished | None = None
        self._begun = time.monotonic()

    def __call__(self, event: Event) -> None:
        """Take the next event."""
        self._tally.add(event)
        if isinstance(event, RunFinished):
            self._finished = event

    def __enter__(self) -> Self:
        self._begun = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the file.

        Raises:
            StorageError: if the file cannot be written, unless the run itself failed: then that error matters more.
        """
        if isinstance(error, OwnedError):
            return
        try:
            self._replace({**self._before(), **self._now(error is None)})
        except OSError as failed:
            if error is None:
                raise StorageError(
                    f"the metrics file {self._path} cannot be written: {failed.strerror}. Everything else is done"
                ) from failed

    def _now(self, success: bool) -> dict[str, float]:
        now, elapsed, made = time.time(), time.monotonic() - self._begun, self._tally.done.seconds
        figures = {
            "melmill_last_run_timestamp_seconds": now,
            "melmill_last_run_success": float(success),
            "melmill_last_run_duration_seconds": elapsed,
            "melmill_last_run_hours": made / 3600,
            "melmill_last_run_times_real_time": made / elapsed if elapsed > 0 else 0.0,
        }
        if success:
            figures["melmill_last_success_timestamp_seconds"] = now
        if (finished := self._finished) is not None:
            figures["melmill_utterances"] = finished.utterances
            figures["melmill_hours"] = finished.seconds / 3600
            figures["melmill_failures"] = finished.failed
        return figures

    def _before(self) -> Mapping[str, float]:
        """The figures of this output that the file has and that may stay; none of a file that cannot be parsed."""
        with contextlib.suppress(OSError, ValueError):
            found = [
                each
                for family in text_string_to_metric_families(self._path.read_text("utf-8"))
                for each in family.samples
            ]
            return {
                each.name: each.value
                for each in found
                if each.name in _KEPT and each.labels == {"output": self._output}
            }
        return {}

    def _text(self, figures: Mapping[str, float]) -> bytes:
        registry = CollectorRegistry()
        gauges = {
            name: Gauge(name, words, ["output", "stage"] if name == _STAGES else ["output"], registry=registry)
            for name, words in GAUGES.items()
        }
        for name, value in figures.items():
            gauges[name].labels(self._output).set(value)
        for stage, seconds in dataclasses.asdict(self._tally.stages).items():
            gauges[_STAGES].labels(self._output, stage).set(seconds)
        text: bytes = generate_latest(registry)
        return text

    def _replace(self, figures: Mapping[str, float]) -> None:
        """Replace the file. The collector, perhaps another user's, reads no half file: it skips other endings."""
        with atomic_write(self._path) as file:
            file.write(self._text(figures))
