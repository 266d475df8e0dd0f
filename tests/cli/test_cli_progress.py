"""What a person or a log sees of a run."""

import io
import json
import logging
import sys
import threading
import warnings

import pytest

from pipeline.cli.progress import Progress, ProgressBar, progress_shown
from pipeline.cli.run_view import JsonLog, ProgressView, logged_to
from pipeline.events import RunStopping, WorkersCounted


class ALogThatLogs(io.StringIO):
    """Logs a warning while it is written to, as the garbage collector may have something logged at any time."""

    logged = False

    def write(self, text: str) -> int:
        if not self.logged:
            self.logged = True
            logging.getLogger("somewhere").warning("found in the middle of a line")
        return super().write(text)


def test_what_is_logged_while_an_event_is_shown_is_shown_after_it() -> None:
    stream = ALogThatLogs()

    def show() -> None:
        view = JsonLog(stream)
        with logged_to(view):
            view(RunStopping(3.0))

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["RunStopping", "Logged"]
    assert lines[1]["words"] == "found in the middle of a line"


def test_errors_and_warnings_are_shown_whole_and_without_secrets() -> None:
    stream = io.StringIO()
    with logged_to(ProgressView(Progress(stream))):
        try:
            raise LookupError("s3://me:planted@host/bucket")
        except LookupError:
            logging.getLogger("somewhere").exception("it broke")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("of Python", stacklevel=1)
    shown = stream.getvalue()
    assert all(words in shown for words in ("it broke", "LookupError", "of Python"))
    assert "planted" not in shown


def test_without_progress_there_is_no_bar_on_a_terminal_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(progress_shown(), ProgressBar)
    assert not isinstance(progress_shown(wanted=False), ProgressBar)


def test_a_log_gets_every_notice_and_progress_now_and_then_if_wanted() -> None:
    for seconds, lines in ((0.0, ["half", "found", "whole"]), (1000.0, ["found"]), (None, ["found"])):
        stream = io.StringIO()
        with Progress(stream, seconds) as progress:
            progress.update("half", 1, 2)
            progress.notice("found")
            progress.update("whole", 2, 2)
        assert stream.getvalue().splitlines() == lines


def test_dasks_page_is_named_once() -> None:
    stream = io.StringIO()
    view = ProgressView(Progress(stream))
    for workers in (1, 2):
        view(WorkersCounted(workers, workers, "http://127.0.0.1:8787/status"))
    assert stream.getvalue() == "Dask shows its workers at http://127.0.0.1:8787/status\n"
