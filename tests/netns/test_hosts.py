"""A plain Dask cluster over several hosts that share a folder, with TLS, one of which is cut off for a while."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from support.corpora import assert_whole, lasting_store
from support.faults.processes import ended, events_in
from support.keys import made_keys
from support.netns_hosts import Host, ending, three_hosts

from pipeline.output.layout import COMMITS

PATIENCE = 600.0

# What a site sets in ~/.config/dask for a network that it wants to hear of soon: Dask's own limit is half a minute.
QUICK = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s", "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s"}
# As systemd's Restart=always does.
AGAIN = ["sh", "-c", 'while true; do "$@"; sleep 1; done', "worker"]


def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"{what} has not come"
        time.sleep(0.2)


def started_by(log: Path, host: Host) -> list[str]:
    """When a worker of this host began with a shard."""
    return [e["time"] for e in events_in(log, "ShardStarted") if e["worker"].startswith(f"tls://{host.address}:")]


def test_a_host_that_is_cut_off_in_the_middle_is_made_up_for_and_works_again_when_it_is_back(
    packed: Path, tmp_path: Path
) -> None:
    store, copies = lasting_store(packed, tmp_path, seconds=75)
    keys = made_keys(tmp_path, "cluster")
    tls = [f"--tls-ca-file={keys.ca}", f"--tls-cert={keys.cert}", f"--tls-key={keys.key}"]
    log, out = tmp_path / "log", tmp_path / "audio"
    with three_hosts() as (first, second, third), contextlib.ExitStack() as stack:

        def start(host: Host, name: str, *command: str) -> subprocess.Popen[bytes]:
            return stack.enter_context(ending(host.start(tmp_path / name, QUICK, *command)))

        dask = [sys.executable, "-m"]
        address = f"tls://{first.address}:8786"
        loopback = "--dashboard-address=127.0.0.1:0"
        start(first, "scheduler", *dask, "distributed.cli.dask_scheduler", f"--host={address}", *tls, loopback)
        for host in (second, third):
            worker = [*dask, "distributed.cli.dask_worker", address, "--nthreads=1", *tls, loopback]
            start(host, host.name, *AGAIN, *worker, f"--host={host.address}", f"--local-directory={tmp_path}")
        settings = {
            "input.store": store,
            "output.url": out,
            "output.shard_seconds": 2,
            "vocoder.name": "griffin-lim",
            "cluster.kind": "dask",
            "cluster.address": address,
            "cluster.security": f"{{ca: {keys.ca}, cert: {keys.cert}, key: {keys.key}}}",
        }
        flags = [f"--set={key}={value}" for key, value in settings.items()]
        command = [sys.executable, "-m", "pipeline", "run", "--log-json", *flags]
        run = stack.enter_context(ended(first.start(log, QUICK, *command)))
        until(lambda: log.exists() and started_by(log, second) and started_by(log, third), "work on both hosts")
        until(lambda: len(list((out / COMMITS).glob("*"))) > 3, "commits")
        third.set_link("down")
        commits = len(list((out / COMMITS).glob("*")))
        time.sleep(18)  # longer than TCP is given
        until(lambda: len(list((out / COMMITS).glob("*"))) > commits, "commits of the other host")
        assert run.poll() is None, "the run ended too soon"
        cut = started_by(log, third)
        third.set_link("up")
        until(lambda: len(started_by(log, third)) > len(cut), "work of the host that is back")
        assert run.wait(PATIENCE) == 0, log.read_text()[-3000:]
    assert_whole(out, len(copies))


def test_nothing_beyond_this_machine_is_connected_to_without_tls(packed: Path, tmp_path: Path) -> None:
    with three_hosts() as (first, second, _), contextlib.ExitStack() as stack:
        scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", f"--host=tcp://{first.address}:8786"]
        stack.enter_context(ending(first.start(tmp_path / "scheduler", {}, *scheduler, "--no-dashboard")))
        flags = [f"--store={packed}", f"--out={tmp_path / 'audio'}", "--vocoder=griffin-lim"]
        command = [sys.executable, "-m", "pipeline", "run", *flags, f"--scheduler=tcp://{first.address}:8786"]
        run = stack.enter_context(ended(second.start(tmp_path / "log", {}, *command)))
        assert run.wait(PATIENCE) == 2
        assert "has no TLS" in (tmp_path / "log").read_text()
