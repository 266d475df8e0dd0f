"""Who works on an output in an object store, where no kernel holds a lock: whoever does says so, again and again.

Each holder has two objects below `run.lock`: its name, put once, and its pulse, replaced every few seconds by another
count. It puts its name, lists the others, and holds the output if none of them is in the way. Of two that begin at
once each sees the other, and the one whose name sorts first goes on: a listing holds all that was put before, in S3,
Google and Azure. Whoever is in the way is there as long as its pulse changes, by the waiting time of the one who looks:
no clock is compared with another. If it stands still, or if its process is known to have ended, its name is deleted.

A name says whether its holder is a part of a job, which shares the output. Parts do not ask about each other: if each
of a thousand asked about all others, the last one would begin after a million requests.

A holder that was taken for dead, because it could reach nothing for so long or its machine slept, finds its name gone
and begins no change any more. One that it had begun, such as a long PUT, can still land after that. What is promised of
shards and commits does not depend on any of this.
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
from pipeline.storage.base import PRIVATE, in_words, signed
from pipeline.storage.objects.files import Files
from pipeline.storage.objects.processes import is_dead, this_process

LOCK = f"{PRIVATE}/run.lock"
_PART = "part-"
"""The beginning of the name of a holder that shares the output."""
BEAT_SECONDS = 5.0
DEAD_SECONDS = 30.0
"""A pulse that has stood still for so long is that of a dead run."""
_LOOK_SECONDS = 0.1
_TRIES = 20

_ours: set[str] = set()
"""Names that this process holds, or is about to."""


@dataclass(frozen=True)
class Holder:
    """Somebody who holds an output, or is about to.

    Args:
        name: that nobody else has.
        shared: whether it does not mind others that share it.
        process: see `this_process`.
        words: who it is, and since when; see `in_words`.
    """

    name: str
    shared: bool
    process: str
    words: str

    def is_dead(self) -> bool | None:
        """Whether it is gone; None if only its pulse can tell."""
        if self.process and self.process == this_process():
            return self.name not in _ours
        return is_dead(self.process)


def _now() -> float:
    """Seconds that have passed for others: also those in which this machine slept, where the kernel counts them."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)  # Linux's
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class Lease:
    """One holder's claim on an output. Use as a context: within it the output is held.

    Args:
        files: of the output.
        owner: who this is, in words.
        shared: whether others may share it.
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
        """To be called before anything is changed.

        Raises:
            OwnedError: if the output was lost to another run.
            StorageError: if for too long it was not possible to say that it is still held.
        """
        if _now() - self._confirmed > DEAD_SECONDS / 2:
            self._beat()
        if self._lost:
            raise OwnedError(
                f"another run took over {self._files.url}: this one could not be heard of for {DEAD_SECONDS:.0f} s. "
                "What it had committed is kept; run again once the other has ended"
            )
        if _now() - self._confirmed > DEAD_SECONDS / 2:
            raise StorageError(
                f"{self._files.url} was out of reach for {DEAD_SECONDS / 2:.0f} s, so that this run may have lost it "
                "to another. What was committed is kept; run again to resume"
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
            else:  # it goes first
                self._files.delete(f"{LOCK}/{self._me.name}.json")
                self._refuse_if_held(other)
            self._holding = False
        raise OwnedError(f"{self._files.url} is fought over by others: {in_words(other.words) if other else ''}")

    def _in_the_way(self) -> Holder | None:
        """One that goes first, since it began first, or because of its name; OwnedError if one holds the output."""
        for other in holders(self._files, besides=self._me.name, parts=not self._me.shared):
            if other.shared and self._me.shared:
                continue  # an older melmill's, whose name does not say it
            pulse = _pulse(self._files, other)
            if not pulse.holding and other.name < self._me.name and other.is_dead() is not True:
                return other
            self._refuse_if_held(other)
        return None

    def _refuse_if_held(self, other: Holder) -> None:
        """Wait for what becomes of it: OwnedError if it holds the output; if it is dead, its name goes."""
        watch = _Watch(self._files, other)
        while watch.is_there():
            alive = watch.is_alive()
            if alive is False:
                forget(self._files, other.name)
                return
            if alive and watch.pulse.holding:
                raise OwnedError(
                    f"another run is working on {self._files.url}: {in_words(other.words)}. Wait for it to end; "
                    "nothing was changed"
                )
            time.sleep(_LOOK_SECONDS)

    def _keep_beating(self) -> None:
        while not self._over.wait(BEAT_SECONDS):
            self._beat()

    def _beat(self) -> None:
        """Show that this one lives, and see whether anybody doubted it."""
        with self._beating, contextlib.suppress(StorageError):  # that it is out of reach is found out by whoever writes
            if self._over.is_set():
                return
            begun = _now()
            self._count += 1
            pulse = {"count": self._count, "holding": self._holding}
            self._files.overwrite(f"{LOCK}/{self._me.name}.pulse", json.dumps(pulse).encode())
            self._lost = self._holding and not self._files.there(f"{LOCK}/{self._me.name}.json")
            self._confirmed = begun

    def _leave(self) -> None:
        """The output is free. If that cannot be said, the others find out by themselves."""
        self._over.set()
        with self._beating:
            _ours.discard(self._me.name)
            with contextlib.suppress(StorageError):
                forget(self._files, self._me.name)


class _Watch:
    """A look at another's pulse, now and then.

    By time in which this machine was awake: in its sleep it sees no pulse, which says nothing of the other.
    """

    def __init__(self, files: Files, other: Holder) -> None:
        self._files = files
        self._other = other
        self._since = time.monotonic()
        self._changed = False
        self.pulse = _pulse(files, other)

    def is_there(self) -> bool:
        """Whether it has a name still."""
        return self._files.there(f"{LOCK}/{self._other.name}.json")

    def is_alive(self) -> bool | None:
        """Whether it lives; None if that is not known yet."""
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
        return _Pulse(0, False)  # it has just begun


def who_holds(files: Files) -> str | None:
    """Who holds an output, or shares it, in words; None if nobody does, as far as two beats of a pulse show."""
    for holder in holders(files):
        watch, until = _Watch(files, holder), time.monotonic() + 2 * BEAT_SECONDS
        while (alive := watch.is_alive()) is None and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
        if alive and watch.is_there():
            return in_words(holder.words)
    return None


def holders(files: Files, besides: str = "", parts: bool = True) -> Iterator[Holder]:
    """All whose names are there, dead or alive; but one.

    Args:
        files: of the output.
        besides: the name that is left out.
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
            holder = Holder(name, False, "", "somebody who does not say who")
        yield holder


def forget(files: Files, name: str) -> None:
    """Take a holder's name away, and then its pulse."""
    files.delete(f"{LOCK}/{name}.json")
    files.delete(f"{LOCK}/{name}.pulse")


def tidy(files: Files) -> None:
    """Delete the pulses of those who have no name any more: who was taken for dead and was not may leave one."""
    names = _endings(files)
    for name in set(names[".pulse"]) - set(names[".json"]):
        files.delete(f"{LOCK}/{name}.pulse")


def _endings(files: Files) -> dict[str, list[str]]:
    """Names of holders that have an object of each kind, from one listing."""
    there = list(files.list(LOCK))
    return {
        ending: [each[len(LOCK) + 1 : -len(ending)] for each in there if each.endswith(ending)]
        for ending in (".json", ".pulse")
    }


def _to_json(holder: Holder) -> bytes:
    return json.dumps(dataclasses.asdict(holder)).encode()
