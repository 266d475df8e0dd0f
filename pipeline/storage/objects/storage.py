"""Storage in an object store: S3 and compatible stores, Google's, Azure's.

An object is whole once its PUT is answered, so there is nothing to sync. A committed object is put on the condition
that its name is free. A store without this condition would let two attempts replace each other's objects, so every run
tests the store before it begins.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, StorageError
from pipeline.storage.base import PRIVATE, SCRATCH, translated
from pipeline.storage.objects.lease import Lease, tidy, who_holds
from pipeline.storage.objects.transfers import Files, is_not_implemented

_PROBES = f"{PRIVATE}/probes"
_TRIES = 3


class ObjectStorage:
    """A folder of an object store.

    Args:
        url: URL of the folder: `s3://bucket/folder`.
        options: options of the client; they may name environment variables.
        single_writer: whether to look for a name before writing, instead of asking the store to refuse a taken name.

    Raises:
        ConfigError: if the client is not installed, or an option is not valid.
    """

    def __init__(self, url: str, options: Mapping[str, Any], single_writer: bool = False) -> None:
        self._files = Files(url, options)
        self._single_writer = single_writer
        self._lease: Lease | None = None
        self.url = self._files.url

    @property
    def name_bytes(self) -> int:
        """See Storage."""
        return self._files.name_bytes

    def read(self, name: str) -> io.BufferedReader:
        """See Storage."""
        return self._files.read(name)

    def list(self, prefix: str) -> Iterator[str]:
        """See Storage. SCRATCH holds the unfinished uploads."""
        if prefix == SCRATCH:
            uploads = [f"{SCRATCH}/{upload.replace('/', '_')}/{name}" for name, upload in self._files.uploads()]
            return iter(sorted(uploads))
        return self._files.list(prefix)

    def stamps(self, prefix: str) -> Iterator[tuple[str, str]]:
        """See Storage."""
        return self._files.stamps(prefix)

    def put_if_absent(self, name: str, source: Path | bytes) -> bool:
        """See Storage. Also True if an object is there that equals the source."""
        self._check_lease()
        if not self._single_writer:
            return self._files.create(name, source)
        if self._files.there(name):
            return False
        self._files.overwrite(name, source)
        return True

    def replace(self, name: str, source: Path | bytes) -> None:
        """See Storage."""
        self._check_lease()
        self._files.overwrite(name, source)

    def delete(self, name: str) -> None:
        """See Storage."""
        self._check_lease()
        self._files.delete(name)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """See Storage. The folder is on this machine."""
        folder = self._scratch_folder / uuid.uuid4().hex
        with translated(f"writing {folder}"):
            self._make_scratch()
            folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, owner: str) -> Iterator[None]:
        """See Storage. Aborts unfinished uploads of dead runs, and deletes their scratch folders on this machine."""
        with self._held(owner, shared=False):
            shutil.rmtree(self._scratch_folder, ignore_errors=True)
            for name, upload in list(self._files.uploads()):
                self._files.abort(name, upload)
            tidy(self._files)
            for name in list(self._files.list(_PROBES)):  # left by killed runs
                self._files.delete(name)
            try:
                yield
            finally:
                shutil.rmtree(self._scratch_folder, ignore_errors=True)  # left by dropped workers

    @contextlib.contextmanager
    def share(self, owner: str) -> Iterator[None]:
        """See Storage."""
        with self._held(owner, shared=True):
            yield

    def holder(self) -> str | None:
        """See Storage. If a run on another machine holds the output, this waits for its next sign of life."""
        return who_holds(self._files)

    @contextlib.contextmanager
    def _held(self, owner: str, shared: bool) -> Iterator[None]:
        if not self._single_writer:
            self._probe()
        with Lease(self._files, owner, shared) as self._lease:
            try:
                yield
            finally:
                self._lease = None

    def _check_lease(self) -> None:
        if self._lease is not None:
            self._lease.check()

    def _probe(self) -> None:
        """Check that the store refuses a name that is taken.

        Raises:
            ConfigError: if the store does not refuse it.
        """
        if not any(self._refuses() for _ in range(_TRIES)):  # another run that begins may delete a probe
            raise ConfigError(
                f"{self.url} replaces an object although the request forbids it (If-None-Match), so two attempts at "
                "one shard could mix their objects. Choose another store. Or, if this job never runs twice at once and "
                "does not run in parts, pass --single-writer (gc, verify and retry take it as "
                "--set output.single_writer=true)"
            )

    def _refuses(self) -> bool:
        name = f"{_PROBES}/{uuid.uuid4().hex}"
        try:
            return self._files.create(name, b"first") and not self._files.create(name, b"second")
        except StorageError as error:
            if not is_not_implemented(error.__cause__):
                raise
            return False
        finally:
            self._files.delete(name)

    @property
    def _scratch_folder(self) -> Path:
        """The scratch folder of this user for this output, on this machine: of this URL on this server."""
        place = f"{self._files.server} {self.url}".encode("utf-8", "surrogateescape")
        digest = hashlib.blake2b(place, digest_size=8).hexdigest()
        return Path(tempfile.gettempdir()) / f"melmill-{os.getuid()}-{digest}"

    def _make_scratch(self) -> None:
        """Make that folder, or check that it is ours: others can guess its name, and may write where it lies."""
        with contextlib.suppress(FileExistsError):
            self._scratch_folder.mkdir(mode=0o700)
        found = self._scratch_folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise StorageError(f"{self._scratch_folder} is not a folder of this user. Remove it, or set TMPDIR")
