"""Serves a report to browsers on this machine alone: one token in the URL, GET and HEAD, and ranges of bytes.

Whoever does not know the token is told that there is nothing. The name of the host is checked, too: otherwise a page of
any site could give itself the address of this machine, and read what is served (DNS rebinding).
"""

from __future__ import annotations

import hmac
import re
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from pipeline.errors import ConfigError, MelmillError
from pipeline.report.served_output import ServedContent, ServedOutput

HOST = "127.0.0.1"
_PIECE = 2**20
_IDLE_SECONDS = 30.0
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class ReportServer(ThreadingHTTPServer):
    """A server of one report. `serve_forever` serves until `shutdown`, or until an exception ends it.

    Args:
        served: what is served.
        port: port on this machine; 0 for one that is free.

    Raises:
        ConfigError: if the port cannot be used.
    """

    daemon_threads = True
    block_on_close = False  # a browser keeps connections open that it may use again

    def __init__(self, served: ServedOutput, port: int = 0) -> None:
        self.served = served
        self.token = secrets.token_urlsafe(16)
        try:
            super().__init__((HOST, port), _Request)
        except OSError as error:
            raise ConfigError(
                f"port {port} of {HOST} cannot be used: {error.strerror}. Choose another with --port; without it, one "
                "that is free is chosen"
            ) from error

    @property
    def url(self) -> str:
        """URL of the page, with the token."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser may end a connection at any time, as when another utterance is played: that is no error."""


class _Request(BaseHTTPRequestHandler):
    server: ReportServer
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def version_string(self) -> str:
        return "melmill"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: requests have the token in them."""

    def _answer(self, with_content: bool) -> None:
        try:
            content = self.server.served.find(self._name())
        except FileNotFoundError:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        except MelmillError as error:
            self.send_error(HTTPStatus.BAD_GATEWAY, explain=str(error))
            return
        status, start, count = self._range(content)
        self.send_response(status)
        self.send_header("Content-Type", content.type)
        self.send_header("Content-Length", str(count))
        self.send_header("Accept-Ranges", "bytes")
        if status != HTTPStatus.OK:
            wanted = f"{start}-{start + count - 1}" if count else "*"
            self.send_header("Content-Range", f"bytes {wanted}/{content.size}")
        self.end_headers()
        if with_content:
            self._send(content, start, count)

    def _name(self) -> str:
        """The name that is asked for, relative to the page. FileNotFoundError if the token or the host is wrong."""
        host = (self.headers.get("Host") or "").rpartition(":")[0]
        _, token, *rest = unquote(urlsplit(self.path).path).split("/", 2)
        right = hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self.server.token.encode())
        if not right or not rest or host not in (HOST, "localhost"):
            raise FileNotFoundError
        return rest[0]

    def _range(self, content: ServedContent) -> tuple[HTTPStatus, int, int]:
        """Status, first byte and number of bytes of the answer (RFC 9110, section 14)."""
        wanted, whole = self.headers.get("Range"), (HTTPStatus.OK, 0, content.size)
        found = _RANGE.fullmatch(wanted) if wanted is not None and "If-Range" not in self.headers else None
        if found is None or found[1] == found[2] == "":
            return whole  # several ranges are answered with everything, as is allowed
        if not found[1]:
            start, stop = max(0, content.size - int(found[2])), content.size
        else:
            start, stop = int(found[1]), min(content.size, int(found[2]) + 1 if found[2] else content.size)
            if found[2] and int(found[2]) < int(found[1]):
                return whole
        if start >= stop:
            return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, 0
        return HTTPStatus.PARTIAL_CONTENT, start, stop - start

    def _send(self, content: ServedContent, start: int, count: int) -> None:
        """Send bytes in pieces. If they cannot be read any more, the connection ends, since its length is promised."""
        for at in range(start, start + count, _PIECE):
            try:
                self.wfile.write(content.read(at, min(_PIECE, start + count - at)))
            except (MelmillError, FileNotFoundError):
                self.close_connection = True
                return

    def end_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()
