"""`melmill serve` over real sockets: any utterance plays, in ranges, for whoever knows the token and nobody else."""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.corpora import rows
from support.paths import ROOT
from support.reports import content_of, page_of
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.report import ReportOptions
from pipeline.report.http_server import ReportServer
from pipeline.report.served_output import served_output

Ask = Callable[..., tuple[int, dict[str, str], bytes]]


@pytest.fixture(scope="module")
def server(made: Path) -> Iterator[ReportServer]:
    options = ReportOptions(rows=5, clips=1)
    with served_output(str(made / "audio"), wanted=options) as served, ReportServer(served) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def ask(server: ReportServer) -> Ask:
    """Status, headers and content of an answer; the path is relative to the page."""

    def asked(path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        whole = path if path.startswith("/") else f"/{server.token}/{path}"
        connection.request(method, whole, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content

    return asked


def audio_of(output: Path, number: int) -> bytes:
    row = rows(output)[number]
    with open(output / row["shard"], "rb") as shard:
        shard.seek(row["offset"])
        return shard.read(row["bytes"])


def test_the_page_says_how_to_play_every_row(ask: Ask, made: Path, tmp_path: Path) -> None:
    status, headers, html = ask("")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    (tmp_path / "index.html").write_bytes(html)
    page = page_of(tmp_path)
    assert page["serve"] == {"audio": "audio/"}
    assert (page["rows"]["included"], page["rows"]["total"]) == (5, 22)
    (chunk,) = page["rows"]["chunks"]
    status, _, script = ask(chunk["file"])
    assert status == 200
    (tmp_path / "rows").mkdir()
    (tmp_path / chunk["file"]).write_bytes(script)
    columns = json.loads(content_of(tmp_path, chunk["file"]))
    assert columns["key"] == [row["key"] for row in rows(made / "audio")]
    for number in columns["row"]:
        status, headers, content = ask(f"audio/{number}")
        assert (status, headers["content-type"], content) == (200, "audio/flac", audio_of(made / "audio", number))


@pytest.mark.parametrize(
    ("wanted", "status", "start", "stop"),
    [
        ("bytes=0-99", 206, 0, 100),
        ("bytes=100-", 206, 100, None),
        ("bytes=-7", 206, -7, None),
        ("bytes=5-99999999", 206, 5, None),
        ("bytes=99999999-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=9-3", 200, 0, None),
        ("bytes=0-1,5-6", 200, 0, None),
        ("lines=1-2", 200, 0, None),
    ],
)
def test_a_range_is_answered_with_its_bytes(
    ask: Ask, made: Path, wanted: str, status: int, start: int, stop: int | None
) -> None:
    whole = audio_of(made / "audio", 3)
    found, headers, content = ask("audio/3", Range=wanted)
    assert (found, content) == (status, whole[start:stop])
    assert headers["accept-ranges"] == "bytes"
    if status == 206:
        first, last, total = map(int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", headers["content-range"]).groups())  # type: ignore[union-attr]
        assert (whole[first : last + 1], total) == (content, len(whole))
    if status == 416:
        assert headers["content-range"] == f"bytes */{len(whole)}"


def test_a_changed_resource_is_sent_whole(ask: Ask, made: Path) -> None:
    assert ask("audio/3", Range="bytes=0-9", If_Range='"x"')[2] == audio_of(made / "audio", 3)


def test_without_the_token_or_from_another_host_there_is_nothing(ask: Ask, server: ReportServer) -> None:
    for path in ("/", "/index.html", "/wrong/", "/wrong/audio/0", f"/{server.token}", f"/{server.token[:-1]}/", "//"):
        status, _, content = ask(path)
        assert status == 404, path
        assert server.token.encode() not in content
    assert ask("", Host=f"evil.example:{server.server_port}")[0] == 404
    assert ask("", Host=f"localhost:{server.server_port}")[0] == 200
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "path",
    ["../audio/manifest.jsonl", "%2e%2e/manifest.jsonl", "/etc/passwd", "audio/22", "audio/-1", "audio/x",
     "audio/99999999999999", "rows/0001.js", "rows/9999.js", "clips/9999.flac", "clips/", "audio/0/../1", "\x00"],
)  # fmt: skip
def test_there_is_nothing_but_the_report_and_its_audio(ask: Ask, server: ReportServer, path: str) -> None:
    assert ask(f"/{server.token}/{path.replace(chr(0), '%00')}")[0] == 404


def test_head_has_the_headers_alone_and_other_methods_are_refused(ask: Ask, made: Path) -> None:
    status, headers, content = ask("audio/0", "HEAD")
    assert (status, int(headers["content-length"]), content) == (200, len(audio_of(made / "audio", 0)), b"")
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    for method in ("POST", "PUT", "DELETE"):
        assert ask("audio/0", method)[0] == 501


def test_audio_that_is_gone_is_not_found_and_the_server_goes_on(output: Path) -> None:
    with served_output(str(output), wanted=ReportOptions(clips=0)) as served, ReportServer(served) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        (output / rows(output)[0]["shard"]).unlink()
        connection = http.client.HTTPConnection("127.0.0.1", running.server_port, timeout=10)
        connection.request("GET", f"/{running.token}/audio/0")
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            connection.getresponse().read()
        connection.close()
        connection.request("GET", f"/{running.token}/audio/21")
        assert connection.getresponse().status == 200
        connection.close()
        running.shutdown()


def test_a_run_that_publishes_changes_nothing_of_what_is_served(output: Path) -> None:
    wanted = audio_of(output, 5)
    with served_output(str(output), wanted=ReportOptions(clips=0)) as served:
        lines = (output / "manifest.jsonl").read_text().splitlines(keepends=True)
        (output / "new").write_text("".join(lines[6:]))
        os.replace(output / "new", output / "manifest.jsonl")  # as a publication does
        content = served.find("audio/5")
        assert content.read(0, content.size) == wanted


def _heed_interrupts() -> None:
    """A shell has the commands that it runs in the background ignore Ctrl-C, and these tests may be one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_cleanly(made: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "pipeline", "serve", str(made / "audio"), "--clips", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, preexec_fn=_heed_interrupts, **pipes) as process:
        try:
            said = process.stdout.readline() + process.stdout.readline()
            place = urlsplit(re.search(r"open (http\S+)", said)[1])  # type: ignore[index]
            with contextlib.closing(http.client.HTTPConnection(place.netloc, timeout=10)) as connection:
                connection.request("GET", place.path)
                assert connection.getresponse().status == 200  # and the connection stays open
                process.send_signal(number)
                out, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, error) == (0, "stopped\n", "")


def test_a_port_that_is_taken_is_said(made: Path, server: ReportServer) -> None:
    done = CliRunner().invoke(app, ["serve", str(made / "audio"), "--port", str(server.server_port), "--clips", "0"])
    assert done.exit_code == 2
    assert "cannot be used" in done.output
