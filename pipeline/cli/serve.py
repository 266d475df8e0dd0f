"""The command `melmill serve`."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from pipeline.cli.options import Access, Output, output_access
from pipeline.cli.report import Clips, Seed, WithoutStore
from pipeline.processes.interrupts import interrupt
from pipeline.report import CLIPS, ReportOptions
from pipeline.report.http_server import ReportServer
from pipeline.report.served_output import served_output

Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port on this machine; 0 chooses a free one.")]


def serve(
    output: Output,
    port: Port = 0,
    clips: Clips = CLIPS,
    without_store: WithoutStore = False,
    seed: Seed = 0,
    settings: Access = None,
) -> None:
    """Serve that page, with the audio of every utterance.

    It is the page of `melmill report`, with all rows. Only this machine can reach it, and only with the token in the
    URL that is printed. Ctrl-C ends it.

    Example:
        melmill serve audio
    """
    wanted = ReportOptions(clips=clips, store=not without_store, seed=seed)
    with (
        served_output(output, output_access(output, settings).options, wanted) as served,
        ReportServer(served, port) as server,
    ):
        print(served.page.verdict.text)
        print(f"serving {served.page.rows.total} utterances; open {server.url}", flush=True)
        _serve(server)
    print("stopped")


def _serve(server: ReportServer) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, interrupt) if main else None
    try:
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        pass
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
