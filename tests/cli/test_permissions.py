"""Folders that a group shares, users with a strict umask, and homes that cannot be written."""

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.corpora import assert_whole
from support.paths import PROMPTS

from pipeline.config import JobConfig
from pipeline.errors import MelmillError, StorageError
from pipeline.storage import LocalStorage
from pipeline.storage.filelock import open_lock

Build = Callable[..., JobConfig]
GROUP, OWNER, MEMBER = 2000, 3001, 3002
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="plays other users")


def melmill(*words: object, umask: int = 0o022, environment: dict[str, str] | None = None) -> None:
    """A command of a user with this umask, which must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *map(str, words)],
        capture_output=True, text=True, umask=umask, env={**os.environ, **(environment or {})}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def acting_as(user: int) -> Iterator[None]:
    """A time in which files are opened by another user of the group."""
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(GROUP)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder of the group, which gives its group to all that is made in it. Others may not enter pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="melmill-test-"))
    if os.geteuid() == 0:
        os.chown(folder, 0, GROUP)
    folder.chmod(0o2775)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(("umask", "container"), [(0o002, "tar"), (0o077, "files"), (0o027, "tar")])
def test_every_file_has_the_mode_that_the_umask_leaves(
    shared: Path, vocoder_path: Path, umask: int, container: str
) -> None:
    store, out = shared / "mels.zarr", shared / "audio"
    melmill("pack", PROMPTS / "ru_RU_f_IvrvoiceRU", store, "--mel", "hifigan-22k", "--workers", 1, umask=umask)
    run = ["run", "--store", store, "--out", out, "--vocoder", vocoder_path, "--set", f"output.container={container}"]
    if umask == 0o002:
        melmill(*run, "--workers", 1, umask=umask)
        run += ["--subtype", "PCM_24"]
    melmill(*run, "--scheduler", "synchronous", umask=umask)
    if umask == 0o002:
        melmill("gc", out, "--yes", umask=umask)
    found = list(shared.rglob("*"))
    assert {path.name for path in found} >= {"run.lock", "status.json", "manifest.jsonl", "job.json", "zarr.json"}
    for path in found:
        allowed = (0o777 if path.is_dir() else 0o666) & ~umask
        assert stat.S_IMODE(path.stat().st_mode) & 0o777 == allowed, path
        assert path.stat().st_gid == shared.stat().st_gid, path


@as_root
def test_two_users_of_a_group_work_on_one_output(shared: Path) -> None:
    before = os.umask(0o002)
    try:
        storage = LocalStorage(shared / "audio")
        for user, other in ((OWNER, MEMBER), (MEMBER, OWNER)):
            with acting_as(user):
                with storage.lock(f"run of {user}"):
                    storage.put_if_absent(f"data/{user}", b"first")
                    storage.replace("manifest.jsonl", f"{user}".encode())
                    storage.replace(f"data/{other}", b"second")
                    storage.delete(f"data/{other}")
                assert storage.holder() is None
            with acting_as(other), storage.share("a part"):
                assert storage.read("manifest.jsonl").read() == f"{user}".encode()
    finally:
        os.umask(before)


@as_root
def test_a_lock_of_a_user_who_does_not_share_it_is_named(shared: Path) -> None:
    """As earlier melmills left it: mode 644 whatever the umask."""
    storage, lock = LocalStorage(shared), shared / "_melmill" / "run.lock"
    with acting_as(OWNER), storage.lock("first"):
        lock.chmod(0o644)
    with acting_as(MEMBER), pytest.raises(StorageError, match=rf"user {OWNER} and has mode 644.*chmod g\+w {lock}"):
        storage.lock("second").__enter__()
    lock.chmod(0o664)
    with acting_as(MEMBER), storage.lock("second"):
        pass
    with acting_as(MEMBER), pytest.raises(PermissionError):
        open_lock(Path("/lock"))  # there is none: no owner to ask
    with acting_as(MEMBER), pytest.raises(MelmillError, match="check the permissions"):
        LocalStorage(Path("/nowhere/audio")).lock("x").__enter__()


@pytest.mark.parametrize(("home", "kind"), [("/proc/nowhere", "local"), ("/dev/null", "synchronous"), (None, "local")])
def test_a_home_that_cannot_be_written_or_is_not_there_is_no_matter(
    job: Build, tmp_path: Path, home: str | None, kind: str
) -> None:
    """A cache would lie there, and a sample of Dask's configuration."""
    ours = ("HOME", "XDG_CACHE_HOME", "MELMILL_CACHE")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {} if home is None else {"HOME": home}
    config = job(cluster__kind=kind, cluster__workers=1)
    (tmp_path / "job.json").write_text(config.model_dump_json())
    for command in (["run", tmp_path / "job.json"], ["verify", config.output.url], ["vocoder", "list"]):
        arguments = [sys.executable, "-m", "pipeline", *map(str, command)]
        done = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
    assert_whole(Path(config.output.url), 24)
    assert {path.name for path in tmp_path.iterdir()} == {"job.json", "mels.zarr", "audio"}
