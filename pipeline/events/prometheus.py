"""A run's figures as a file for node_exporter's textfile collector. For people: nothing is decided by it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.errors import ConfigError, OwnedError, StorageError
from pipeline.events import Event, RunFinished
from pipeline.events.tally import Tally
from pipeline.redaction import public_url

GAUGES = {
    "melmill_last_success_timestamp_seconds": "When a run last ended well, made something or had nothing to do.",
    "melmill_last_run_timestamp_seconds": "When the last run ended.",
    "melmill_last_run_success": "Whether it ended well: 1 or 0. Some quarantined utterances are allowed.",
    "melmill_last_run_duration_seconds": "How long it took.",
    "melmill_last_run_hours": "Hours of audio that it made.",
    "melmill_last_run_times_real_time": "Hours of audio that it made in an hour.",
    "melmill_last_run_stage_seconds": "Seconds of all workers together, by what they did, for what it committed.",
    "melmill_utterances": "Rows of the manifest.",
    "melmill_hours": "Hours of audio in the manifest.",
    "melmill_failures": "Rows of failures.jsonl.",
}
"""Name -> what it is. All have the label `output`; seconds by stage have `stage`, too."""

_KEPT = ("melmill_last_success_timestamp_seconds", "melmill_utterances", "melmill_hours", "melmill_failures")
_SAMPLE = re.compile(r"(?P<name>\w+)\{(?P<labels>.*)\} (?P<value>\S+)")


class MetricsFile:
    """Listens to a run and, when the context ends, replaces the file atomically by what it was.

    The file is one in Prometheus' text format and in OpenMetrics. What a run that fails cannot know, such as when the
    last one succeeded, stays as the file had it. A run that another one keeps out (OwnedError) leaves it as it is.

    Args:
        path: of the file; the collector wants a name that ends with `.prom`.
        output: URL or path of the output, a label.

    Raises:
        ConfigError: if the file's folder is not there or cannot be written to.
    """

    def __init__(self, path: Path, output: str) -> None:
        if not os.access(path.parent, os.W_OK | os.X_OK) or path.is_dir():
            raise ConfigError(
                f"the metrics {path} cannot be written: {path.parent} must be a folder that you may write to, and "
                f"{path.name} no folder"
            )
        self._path = path
        place = public_url(output) if "://" in output else os.path.abspath(output)
        self._label = f'output="{_escaped(place)}"'
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
            StorageError: if it cannot be written, unless the run failed, which is the worse of both.
        """
        if isinstance(error, OwnedError):
            return
        try:
            self._replace("".join(self._lines({**self._before(), **self._now(error is None)})))
        except OSError as failed:
            if error is None:
                raise StorageError(
                    f"the metrics {self._path} cannot be written: {failed.strerror}. All else is done"
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
        """What the file says of this output, of what may stay."""
        with contextlib.suppress(OSError, ValueError):
            found = map(_SAMPLE.fullmatch, self._path.read_text("utf-8").split("\n"))
            return {
                each["name"]: float(each["value"])
                for each in found
                if each is not None and each["name"] in _KEPT and each["labels"] == self._label
            }
        return {}

    def _lines(self, figures: Mapping[str, float]) -> Iterator[str]:
        for name, words in GAUGES.items():
            yield f"# HELP {name} {words}\n# TYPE {name} gauge\n"
            if name in figures:
                yield f"{name}{{{self._label}}} {figures[name]!r}\n"
            elif name.endswith("stage_seconds"):
                for stage, seconds in dataclasses.asdict(self._tally.stages).items():
                    yield f'{name}{{{self._label},stage="{stage}"}} {seconds!r}\n'
        yield "# EOF\n"

    def _replace(self, text: str) -> None:
        """The collector, perhaps another user's, never sees half a file: it takes no name with another ending."""
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            with open(beside, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self._path)
        finally:
            beside.unlink(missing_ok=True)


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
