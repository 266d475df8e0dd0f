"""Where the outputs of these tests lie, and some inputs: in folders, or, with `MELMILL_OUTPUTS=s3`, in an object store.

The tests are the same. `located` gives what stands for an output's URL, a Path or an ObjectPath, which can be asked and
changed as a Path can; the functions here do what those of `shutil` do to either.
"""

from __future__ import annotations

import functools
import io
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

ON_S3 = os.environ.get("MELMILL_OUTPUTS") == "s3"
"""Set by `make test-s3`."""

CHANGES_OF_A_RUN = 25 if ON_S3 else 150
"""More or less as many operations as a run of a few shards has that change the output."""
HELD = range(6, 16) if ON_S3 else range(12, 60)
"""Numbers of operations of a run, of those that change the output, at which it holds the lock."""


@functools.cache
def _client(process: int) -> Any:
    import s3fs

    return s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)


def client() -> Any:
    """The tests' own client in this process. Faults do not concern it."""
    return _client(os.getpid())


@dataclass(frozen=True, order=True)
class ObjectPath:
    """A place in an object store, as far as tests need it to be a Path."""

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: object) -> ObjectPath:
        return ObjectPath(f"{self.url}/{name}") if str(name) else self

    @property
    def _pure(self) -> PurePosixPath:
        return PurePosixPath(self.url.partition("://")[2])

    @property
    def name(self) -> str:
        return self._pure.name

    @property
    def stem(self) -> str:
        return self._pure.stem

    @property
    def suffix(self) -> str:
        return self._pure.suffix

    @property
    def parent(self) -> ObjectPath:
        return ObjectPath(self.url.rpartition("/")[0])

    def with_name(self, name: str) -> ObjectPath:
        return self.parent / name

    def relative_to(self, other: ObjectPath) -> PurePosixPath:
        return self._pure.relative_to(other._pure)

    def is_relative_to(self, other: ObjectPath) -> bool:
        return self._pure.is_relative_to(other._pure)

    def is_file(self) -> bool:
        return not self.is_dir() and bool(client().exists(self.url))

    def is_dir(self) -> bool:
        return any(self.rglob("*"))

    def exists(self) -> bool:
        """A folder is there if an object is in it."""
        return self.is_file() or self.is_dir()

    def iterdir(self) -> Iterator[ObjectPath]:
        return iter(sorted({self / path.relative_to(self).parts[0] for path in self.rglob("*")}))

    def glob(self, pattern: str) -> Iterator[ObjectPath]:
        return (path for path in self.iterdir() if fnmatchcase(path.name, pattern))

    def rglob(self, pattern: str) -> Iterator[ObjectPath]:
        """Objects alone, no folders."""
        found = (ObjectPath(f"s3://{name}") for name in client().find(self.url) if not name.endswith("/"))
        return (path for path in found if path != self and fnmatchcase(path.name, pattern))

    def read_bytes(self) -> bytes:
        return bytes(client().cat_file(self.url))

    def read_text(self) -> str:
        return self.read_bytes().decode()

    def write_bytes(self, content: bytes) -> None:
        client().pipe_file(self.url, content)

    def write_text(self, content: str) -> None:
        self.write_bytes(content.encode())

    def touch(self) -> None:
        self.write_bytes(b"")

    def open(self, mode: str = "rb") -> io.BytesIO:
        assert mode == "rb"
        return io.BytesIO(self.read_bytes())

    def unlink(self) -> None:
        client().rm_file(self.url)

    def mkdir(self, **_: Any) -> None:
        """There are no folders."""

    def chmod(self, mode: int) -> None:
        """Nor permissions."""

    def stamps(self) -> dict[str, tuple[str, int]]:
        """ETag, and time of change, of every object below."""
        found = client().find(self.url, detail=True).values()
        return {each["name"]: (each["ETag"], each["LastModified"].timestamp()) for each in found}


Place = Path | ObjectPath


def located(url: str) -> Place:
    """Where an output lies."""
    return ObjectPath(url) if "://" in url else Path(url)


def count_files(place: Place) -> int:
    """How many files lie below. A run may be writing there: folders go while they are looked into."""
    if isinstance(place, Path):
        return sum(len(files) for _, _, files in os.walk(place))
    return sum(path.is_file() for path in place.rglob("*"))


def rmtree(place: Place, ignore_errors: bool = False) -> None:
    """As shutil has it."""
    if isinstance(place, Path):
        shutil.rmtree(place, ignore_errors=ignore_errors)
    elif names := client().find(place.url):
        client().rm([name for name in names if not name.endswith("/")] or names)


def copytree(source: Place, target: Place) -> Place:
    """As shutil has it; also from a folder into the object store, where there are no empty folders."""
    if isinstance(target, Path):
        return Path(shutil.copytree(source, target))
    for path in source.rglob("*"):
        if isinstance(path, ObjectPath) or path.is_file():
            (target / path.relative_to(source)).write_bytes(path.read_bytes())
    return target


def beside(folder: Path, outputs: Place) -> Place:
    """A folder where outputs lie: itself, or a copy of it in the object store."""
    return folder if isinstance(outputs, Path) else copytree(folder, outputs / folder.name)


def copy(source: Place, target: Place) -> None:
    """As shutil has it."""
    if isinstance(source, Path):
        shutil.copy(source, target)
    else:
        target.write_bytes(source.read_bytes())


def move(source: Place, target: Place) -> Place:
    """As shutil has it."""
    if isinstance(source, Path):
        return Path(shutil.move(source, target))
    copytree(source, target)
    rmtree(source)
    return target


def lock_of_the_dead(out: Place) -> str:
    """What a killed run has left in the output's lock."""
    lock = out / "_melmill" / "run.lock"
    if isinstance(lock, Path):
        return lock.read_text()
    (left,) = lock.glob("*.json")
    return str(json.loads(left.read_bytes())["words"])
