"""A TCP proxy between a client and a server, that now and then does what networks do.

It knows of HTTP only where a request begins. Some requests are met with a fault: cut in the middle, reset, answered
with 503 and never passed on; or passed on and done, and the answer is lost, ends in the middle, or comes too late.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Literal, get_args

Fate = Literal["cut", "reset", "503", "answer lost", "answer cut", "stalled"]
FATES: tuple[Fate, ...] = get_args(Fate)
STALL_SECONDS = 1.5
"""Longer than the clients of the tests wait."""
_REQUESTS = (b"GET /", b"PUT /", b"HEAD /", b"POST /", b"DELETE /")
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Proxy:
    """What a proxy does.

    Args:
        port: that it listens on.
        delay: before a request is passed on [s]: how far away the server is.
        dealt: how often each fault was.
    """

    def __init__(self, server: int) -> None:
        self._server = server
        self._rng: random.Random | None = None
        self._share = 0.0
        self.delay = 0.0
        self.port = 0
        self.dealt: Counter[str] = Counter()

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    def disturb(self, rng: random.Random, share: float) -> None:
        """From now on meet this share of all requests with faults."""
        self._rng, self._share = rng, share

    def heal(self) -> None:
        """From now on pass on everything."""
        self._rng = None

    def _fate(self) -> Fate | None:
        if self._rng is None or self._rng.random() >= self._share:
            return None
        fate = self._rng.choice(FATES)
        self.dealt[fate] += 1
        return fate

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        there, onward = await asyncio.open_connection("127.0.0.1", self._server)
        pending: list[Fate | None] = [None]
        up = asyncio.create_task(self._requests(reader, writer, onward, pending))
        down = asyncio.create_task(_answers(there, writer, pending))
        with contextlib.suppress(asyncio.CancelledError):  # the proxy ends
            await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
        for task in (up, down):
            task.cancel()
        for each in (writer, onward):
            each.close()

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        onward: asyncio.StreamWriter,
        pending: list[Fate | None],
    ) -> None:
        with contextlib.suppress(OSError):
            while content := await reader.read(1 << 16):
                fate = self._fate() if content.startswith(_REQUESTS) else None
                if self.delay and content.startswith(_REQUESTS):
                    await asyncio.sleep(self.delay)
                if fate == "503":
                    writer.write(_BUSY)
                    await writer.drain()
                    return
                if fate in ("cut", "reset"):
                    onward.write(content[: len(content) // 2])
                    await onward.drain()
                    if fate == "reset":
                        _reset(writer)
                        _reset(onward)
                    return
                if fate is not None:
                    pending[0] = fate
                onward.write(content)
                await onward.drain()


async def _answers(there: asyncio.StreamReader, writer: asyncio.StreamWriter, pending: list[Fate | None]) -> None:
    with contextlib.suppress(OSError):
        while content := await there.read(1 << 16):
            if not content.startswith(b"HTTP/1.1 100"):  # go on with your request
                if pending[0] == "answer lost":
                    _reset(writer)
                    return
                if pending[0] == "stalled":
                    await asyncio.sleep(STALL_SECONDS)
                    return
                if pending[0] == "answer cut":
                    content = content[: len(content) // 2]
            writer.write(content)
            await writer.drain()
            if pending[0] == "answer cut" and not content.startswith(b"HTTP/1.1 100"):
                return


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side is told that the connection is broken, not that it has ended."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.contextmanager
def proxying(server: int) -> Iterator[Proxy]:
    """A proxy before the server on that port of loopback, for as long as the context lasts. It disturbs nothing yet."""
    proxy, loop, ready = Proxy(server), asyncio.new_event_loop(), threading.Event()

    async def listen() -> asyncio.Server:
        listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        proxy.port = listening.sockets[0].getsockname()[1]
        ready.set()
        return listening

    thread = threading.Thread(target=_run, args=(loop, listen), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _run(loop: asyncio.AbstractEventLoop, listen: Callable[[], Coroutine[None, None, asyncio.Server]]) -> None:
    listening = loop.run_until_complete(listen())
    loop.run_forever()
    listening.close()
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.run_until_complete(asyncio.sleep(0))  # for connections that were closed to be so
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
