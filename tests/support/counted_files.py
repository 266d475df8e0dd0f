"""An object store in memory that counts what is asked of it."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from typing import Any, ClassVar

import fsspec
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.memory import MemoryFileSystem


class Counted(AsyncFileSystem):
    """Memory as an object store: asynchronous, with ETags as S3 gives them, and what is asked of it is counted."""

    protocol = "counted"
    cachable = False
    asked: ClassVar[Counter[str]] = Counter()
    names: ClassVar[list[str]] = []
    in_flight = most_in_flight = 0
    tells_md5 = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._memory = MemoryFileSystem()

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        cls = type(self)
        cls.asked["get"] += 1
        cls.names.append(path)
        cls.in_flight += 1
        cls.most_in_flight = max(cls.in_flight, cls.most_in_flight)
        await asyncio.sleep(0.002)
        cls.in_flight -= 1
        return self._memory.cat_file(path, start, end)  # type: ignore[no-any-return]

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> Any:
        type(self).asked["list folder"] += 1
        return self._memory.ls(path, detail)

    async def _find(self, path: str, maxdepth: int | None = None, withdirs: bool = False, **options: Any) -> Any:
        type(self).asked["list all"] += 1
        found = self._memory.find(path, detail=options.get("detail", False))
        if not type(self).tells_md5:
            return found
        return {name: {**entry, "ETag": self._etag(name)} for name, entry in found.items()}

    def _etag(self, path: str) -> str:
        return f'"{hashlib.md5(self._memory.cat_file(path)).hexdigest()}"'

    async def _info(self, path: str, **_: Any) -> Any:
        return self._memory.info(path)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + str(path).removeprefix("counted://").strip("/")


def fresh_counted(folder: str) -> str:
    """The URL at which Counted finds what is written to `memory://folder`, which is emptied; the counts are zero."""
    fsspec.register_implementation("counted", Counted, clobber=True)
    memory = fsspec.filesystem("memory")
    if memory.exists(f"/{folder}"):
        memory.rm(f"/{folder}", recursive=True)
    Counted.asked, Counted.names, Counted.most_in_flight, Counted.tells_md5 = Counter(), [], 0, True
    return f"counted://{folder}"
