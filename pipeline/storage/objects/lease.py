"""Who works on an output in an object store. No kernel holds a lock there, so each holder announces itself repeatedly.

Each holder has two objects below `run.lock`: its name, put once, and its pulse, a count that is replaced every few
seconds. A new holder puts its name and lists the other names. It holds the output if no other holder is in the way. If
two begin at once, each sees the other, because a listing in S3, Google and Azure shows every earlier PUT; the holder
whose name sorts first goes on. A holder counts as alive as long as its pulse changes. The waiting holder measures this
by its own waiting time, and compares no clocks. If a pulse stands still, or the holder's process is known to have
ended, the waiting holder deletes that name.

A name says whether its holder is a part of a job. Parts share the output, and do not ask about each other: if each of a
thousand parts asked about all others, the last part would begin after a million requests.

A holder can be taken for dead because it could not reach the store, or because its machine slept. It then finds its
name gone, and begins no further change. A change that it had begun, such as a long PUT, can still land after that. The
guarantees for shards and commits do not depend on the lease.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.errors import OwnedError, StorageError
from pipeline.storage.base import LOCK, holder_text, signed
from pipeline.storage.objects.processes import is_dead, this_process
from pipeline.storage.objects.transfers import Files

_PART = "part-"
"""The beginning of the name of a holder that shares the output."""
BEAT_SECONDS = 5.0
DEAD_SECONDS = 30.0
"""A run is dead if its pulse has stood still for this time."""
_LOOK_SECONDS = 0.1
_TRIES = 20

_ours: set[str] = set()
"""Names of the holders in this process."""


@dataclass(frozen=True)
class Holder:
    """A run or a command that holds an output, or wants to.

    Args:
        name: name of the holder; no other holder has it.
        shared: whether other holders that share the output are allowed.
        process: identity of the holder's process; see `this_process`.
        words: text that says who the holder is, and since when; see `holder_text`.
    """

    name: str
    shared: bool
    process: str
    words: str

    def is_dead(self) -> bool | None:
        """Whether the holder has ended; None if only its pulse can tell."""
        if self.process and self.process == this_process():
            return self.name not in _ours
        return is_dead(self.process)


def _now() -> float:
    """Seconds that have passed for other machines. They include this machine's sleep, if its kernel counts that."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)  # Linux only
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class Lease:
    """One holder's claim on an output. Use as a context: within it the output is held.

    Args:
        files: objects of the output.
        owner: text that says who holds the output.
        shared: whether other holders may share the output.
    """

    def __init__(self, files: Files, owner: str, shared: bool) -> None:
        self._files = files
        name = f"{_PART if shared else 'run-'}{uuid.uuid4().hex}"
        self._me = Holder(name, shared, this_process(), signed(owner))
        self._count = 0
        self._holding = self._lost = False
        self._confirmed = _now()
        self._beating = threading.Lock()
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def __enter__(self) -> Lease:
        _ours.add(self._me.name)
        try:
            self._take()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._leave()

    def check(self) -> None:
        """Check that this holder still holds the output. Call it before every change.

        Raises:
            OwnedError: if another run took over the output.
            StorageError: if this holder could not confirm its hold for too long.
        """
        if _now() - self._confirmed > DEAD_SECONDS / 2:
            self._beat()
        if self._lost:
            raise OwnedError(
                f"another run took over {self._files.url}, because this run showed no sign of life for "
                f"{DEAD_SECONDS:.0f} s. What this run committed is kept; run again when the other run has ended"
            )
        if _now() - self._confirmed > DEAD_SECONDS / 2:
            raise StorageError(
                f"{self._files.url} was out of reach for {DEAD_SECONDS / 2:.0f} s, so another run may have taken it "
                "over. What was committed is kept; run again to resume"
            )

    def _take(self) -> None:
        other = None
        for _ in range(_TRIES):
            self._files.overwrite(f"{LOCK}/{self._me.name}.json", _to_json(self._me))
            if self._thread is None:
                self._thread = threading.Thread(target=self._keep_beating, name="melmill-lease", daemon=True)
                self._thread.start()
            other = self._in_the_way()
            if other is None:
                self._holding, self._lost = True, False
                self._beat()
                if not self._lost:
                    return
            else:  # the other holder goes first
                self._files.delete(f"{LOCK}/{self._me.name}.json")
                self._refuse_if_held(other)
            self._holding = False
        who = f": {holder_text(other.words)}" if other else ""
        raise OwnedError(
            f"{self._files.url} could not be taken in {_TRIES} tries, because other runs also try to take it{who}. "
            "Wait for them to end, then run again"
        )

    def _in_the_way(self) -> Holder | None:
        """Another holder that goes first because its name sorts first; OwnedError if another one holds the output."""
        for other in holders(self._files, besides=self._me.name, parts=not self._me.shared):
            if other.shared and self._me.shared:
                continue  # a part of an older melmill, whose name does not say that it shares
            pulse = _pulse(self._files, other)
            if not pulse.holding and other.name < self._me.name and other.is_dead() is not True:
                return other
            self._refuse_if_held(other)
        return None

    def _refuse_if_held(self, other: Holder) -> None:
        """Wait until the other holder is gone: OwnedError if it holds the output; if it is dead, delete its name."""
        watch = _Watch(self._files, other)
        while watch.is_there():
            alive = watch.is_alive()
            if alive is False:
                forget(self._files, other.name)
                return
            if alive and watch.pulse.holding:
                raise OwnedError(
                    f"another run is working on {self._files.url}: {holder_text(other.words)}. Wait for it to end; "
                    "nothing was changed"
                )
            time.sleep(_LOOK_SECONDS)

    def _keep_beating(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            self._beat()

    def _beat(self) -> None:
        """Show that this holder is alive, and check whether another one deleted its name."""
        with self._beating, contextlib.suppress(StorageError):  # the next write reports an unreachable store
            if self._over.is_set():
                return
            begun = _now()
            self._count += 1
            pulse = {"count": self._count, "holding": self._holding}
            self._files.overwrite(f"{LOCK}/{self._me.name}.pulse", json.dumps(pulse).encode())
            self._lost = self._holding and not self._files.there(f"{LOCK}/{self._me.name}.json")
            self._confirmed = begun

    def _leave(self) -> None:
        """Release the output. If the store cannot be reached, the others notice that the pulse stands still."""
        self._over.set()
        with self._beating:
            _ours.discard(self._me.name)
            with contextlib.suppress(StorageError):
                forget(self._files, self._me.name)


class _Watch:
    """Watches the pulse of another holder.

    Only time in which this machine is awake counts: a sleeping machine sees no pulse, even if the other holder lives.
    """

    def __init__(self, files: Files, other: Holder) -> None:
        self._files = files
        self._other = other
        self._since = time.monotonic()
        self._changed = False
        self.pulse = _pulse(files, other)

    def is_there(self) -> bool:
        """Whether the name of the other holder is still there."""
        return self._files.there(f"{LOCK}/{self._other.name}.json")

    def is_alive(self) -> bool | None:
        """Whether the other holder is alive; None if that is not known yet."""
        pulse = _pulse(self._files, self._other)
        if pulse.count != self.pulse.count:
            self._since, self._changed = time.monotonic(), True
        self.pulse = pulse
        if (dead := self._other.is_dead()) is not None:
            return not dead
        if time.monotonic() - self._since > DEAD_SECONDS:
            return False
        return self._changed or None


@dataclass(frozen=True)
class _Pulse:
    count: int
    holding: bool


def _pulse(files: Files, holder: Holder) -> _Pulse:
    try:
        plain = json.loads(files.content(f"{LOCK}/{holder.name}.pulse") or b"")
        return _Pulse(int(plain["count"]), bool(plain["holding"]))
    except (ValueError, KeyError, TypeError):
        return _Pulse(0, False)  # the holder has just begun


def who_holds(files: Files) -> str | None:
    """Text that says who holds or shares an output; None if two beats of a pulse show no live holder."""
    for holder in holders(files):
        watch, until = _Watch(files, holder), time.monotonic() + 2 * BEAT_SECONDS
        while (alive := watch.is_alive()) is None and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
        if alive and watch.is_there():
            return holder_text(holder.words)
    return None


def holders(files: Files, besides: str = "", parts: bool = True) -> Iterator[Holder]:
    """All holders whose names are there, dead or alive, except one.

    Args:
        files: objects of the output.
        besides: name of the holder that is left out.
        parts: whether holders that share the output are included.
    """
    for name in set(_endings(files)[".json"]) - {besides}:
        if name.startswith(_PART) and not parts:
            continue
        content = files.content(f"{LOCK}/{name}.json")
        if content is None:
            continue
        try:
            holder = Holder(**{**json.loads(content), "name": name})
        except (ValueError, TypeError):
            holder = Holder(name, False, "", "an unknown holder, whose entry in the lock cannot be read")
        yield holder


def forget(files: Files, name: str) -> None:
    """Delete the name of a holder, and then its pulse."""
    files.delete(f"{LOCK}/{name}.json")
    files.delete(f"{LOCK}/{name}.pulse")


def tidy(files: Files) -> None:
    """Delete pulses without a name. A live holder that was taken for dead can leave one."""
    names = _endings(files)
    for name in set(names[".pulse"]) - set(names[".json"]):
        files.delete(f"{LOCK}/{name}.pulse")


def _endings(files: Files) -> dict[str, list[str]]:
    """Ending of an object -> names of the holders that have such an object, from one listing."""
    there = list(files.list(LOCK))
    return {
        ending: [each[len(LOCK) + 1 : -len(ending)] for each in there if each.endswith(ending)]
        for ending in (".json", ".pulse")
    }


def _to_json(holder: Holder) -> bytes:
    return json.dumps(dataclasses.asdict(holder)).encode()
