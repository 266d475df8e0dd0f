"""One output through all that can happen to it, in any order, held against a model that is a dictionary."""

import functools
import hashlib
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from numpy.typing import NDArray
from support.corpora import digests, every_byte, rows, tiny_vocoder
from support.faults.injection import CHANGES, Injection, Operation
from support.faults.invariant import assert_readable
from support.faults.places import CHANGES_OF_A_RUN, ON_S3, Place, rmtree
from support.faults.ragged_store import lose_chunk, write_store
from support.faults.scale import trials

from pipeline.audio.encode import pcm_bytes, quantize
from pipeline.config import JobConfig
from pipeline.errors import ConfigError
from pipeline.events import Event, ShardCommitted
from pipeline.jobs.run import plan, run
from pipeline.output.audit import verify
from pipeline.output.garbage import collect_garbage, find_garbage
from pipeline.output.layout import JOB, MANIFEST
from pipeline.vocoders import vocode

FRAMES = 20
FORMATS = [("tar", "flac"), ("tar", "wav"), ("files", "flac")]
KEYS = [f"u{number}" for number in range(12)]
keys = st.sampled_from(KEYS)


class SimulatedKill(BaseException):
    """From here on the process can change nothing: what it cleans up, it does not."""


def killing(number: int) -> Callable[[Operation], None]:
    """A hook that lets no operation happen from the one of this number on."""

    def stop(operation: Operation) -> None:
        if operation.number >= number:
            raise SimulatedKill if threading.current_thread() is threading.main_thread() else OSError

    return stop


def mel(key: str, version: int) -> NDArray[np.float32]:
    return np.random.default_rng((KEYS.index(key), version)).uniform(-8, 0, (80, FRAMES)).astype(np.float32)


@functools.cache
def pcm_sha256(key: str, version: int, vocoder: str) -> str:
    """What is to become of a mel, made alone."""
    return hashlib.sha256(pcm_bytes(quantize(vocode(mel(key, version), vocoder), "PCM_16")[0], "PCM_16")).hexdigest()


class Corpus(RuleBasedStateMachine):
    """A store, a job, an output, and what the output must hold.

    Args:
        folder: for all of it but the output.
        out: for the output.
        vocoders: two, of which the job takes one.
    """

    def __init__(self, folder: Path, out: Place, vocoders: list[str]) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(dir=folder))
        self.out = out / self.place.name / "audio"
        self.vocoders = vocoders
        self.versions = dict.fromkeys(KEYS[:8], 0)  # what the store holds
        self.spoilt: set[str] = set()  # of which it holds NaN
        self.lost: set[str] = set()  # whose chunk is gone
        self.ever_lost: set[tuple[str, int]] = set()
        self.vocoder = vocoders[0]
        self.container, self.codec = FORMATS[0]
        self.written = False  # the store is as the model has it
        self.clean = False  # the output is, too
        self.unfinished = False  # a run was killed, and none has finished since
        self.orphans = False  # something was killed that may have left objects without a record
        self.manifests: list[dict[tuple[Place, int, int], str]] = []

    def teardown(self) -> None:
        shutil.rmtree(self.place)
        rmtree(self.out.parent, ignore_errors=True)

    # ---- the store and the job change

    def changed(self, key: str) -> None:
        self.lost.discard(key)  # its chunk is written again
        self.written = self.clean = False

    @rule(key=keys)
    def change_or_add(self, key: str) -> None:
        self.versions[key] = self.versions.get(key, -1) + 1
        self.spoilt.discard(key)
        self.changed(key)

    @rule(key=keys)
    def bring_back_the_first(self, key: str) -> None:
        self.versions[key] = 0
        self.spoilt.discard(key)
        self.changed(key)

    @rule(key=keys)
    def remove(self, key: str) -> None:
        if len(self.versions) > 1 and self.versions.pop(key, None) is not None:
            self.spoilt.discard(key)
            self.changed(key)

    @rule(key=keys)
    def spoil(self, key: str) -> None:
        if key in self.versions:
            self.spoilt.add(key)
            self.changed(key)

    @rule(key=keys)
    def lose(self, key: str) -> None:
        if key in self.versions:
            self.lost.add(key)
            self.ever_lost.add((key, self.versions[key]))
            self.written = False

    @rule()
    def find_again(self) -> None:
        self.lost.clear()
        self.written = False

    @rule(number=st.sampled_from([0, 1]))
    def take_vocoder(self, number: int) -> None:
        self.clean &= self.vocoder == self.vocoders[number]
        self.vocoder = self.vocoders[number]

    @rule(chosen=st.sampled_from(FORMATS))
    def take_format(self, chosen: tuple[str, str]) -> None:
        self.clean &= chosen == (self.container, self.codec)
        self.container, self.codec = chosen

    def job(self) -> JobConfig:
        store = self.place / "mels.zarr"
        if not self.written:
            mels = {key: mel(key, version) for key, version in self.versions.items()}
            for key in self.spoilt:
                mels[key][7, 3] = np.nan
            write_store(store, mels, FRAMES)
            for key in self.lost:
                lose_chunk(store, list(mels).index(key))
            self.written = True
        values = {
            "input": {"store": str(store)},
            "vocoder": {"name": self.vocoder},
            "output": {"url": str(self.out), "shard_seconds": 0.5, "container": self.container, "codec": self.codec},
            "cluster": {"kind": "synchronous"},
            "quality": {"max_failure_rate": 1},
        }
        return JobConfig.build(values)

    # ---- what is done with them

    @rule()
    def plan_only(self) -> None:
        job, before = self.job(), every_byte(self.out)
        found = plan(job)
        assert every_byte(self.out) == before
        assert all(shard.reason for shard in found.todo)
        assert not (self.clean and found.todo)

    @rule(retry=st.booleans())
    def convert(self, retry: bool) -> None:
        job = self.job()
        planned = {shard.name for shard in plan(job).todo}
        events: list[Event] = []
        run(job, events.append, retry=retry)
        made = [event.name for event in events if isinstance(event, ShardCommitted)]
        assert len(set(made)) == len(made)
        assert planned == set(made) or (retry and planned < set(made))
        self.finished(job, retry)

    @rule(number=st.integers(1, CHANGES_OF_A_RUN), retry=st.booleans())
    def convert_and_be_killed(self, number: int, retry: bool) -> None:
        job = self.job()
        try:
            with Injection(self.out, killing(number), kinds=CHANGES):
                run(job, retry=retry)
        except SimulatedKill:
            self.clean, self.unfinished, self.orphans = False, True, True
        else:
            self.finished(job, retry)

    @precondition(lambda self: (self.out / JOB).exists())
    @rule()
    def collect(self) -> None:
        self.manifests = self.current()  # readers of older ones are cut off now
        try:
            collect_garbage(str(self.out))
        except ConfigError:
            assert self.unfinished  # the first publication of all was cut short
        else:
            self.orphans = False
            assert not find_garbage(str(self.out)).garbage

    @precondition(lambda self: (self.out / JOB).exists())
    @rule(number=st.integers(1, CHANGES_OF_A_RUN // 2))
    def collect_and_be_killed(self, number: int) -> None:
        try:
            with Injection(self.out, killing(number), kinds=CHANGES):
                self.collect()
        except SimulatedKill:
            self.orphans = True

    @precondition(lambda self: (self.out / JOB).exists())
    @rule()
    def verify(self) -> None:
        """What is killed may leave objects without a record, and not have written of all shards; it harms none."""
        for finding in verify(str(self.out)).findings:
            assert finding.shard is None
            assert self.orphans if finding.kind == "unexpected" else self.unfinished

    # ---- what holds

    def finished(self, job: JobConfig, retried: bool) -> None:
        """A run has come to its end: the output is what the model says, and there is nothing more to do."""
        failed = {row["key"] for row in rows(self.out, "failures.jsonl")}
        doubtful = {key for key in self.versions if (key, self.versions[key]) in self.ever_lost}
        assert self.spoilt <= failed <= self.spoilt | (self.lost if retried else doubtful)
        wanted = {key: pcm_sha256(key, self.versions[key], self.vocoder) for key in set(self.versions) - failed}
        assert digests(self.out) == wanted
        assert len(rows(self.out)) == len(wanted)
        self.unfinished = False
        self.verify()
        before = every_byte(self.out)
        assert run(job).run_id == ""
        assert every_byte(self.out) == before
        self.clean = True
        self.manifests = [*self.manifests[-2:], *self.current()]

    def current(self) -> list[dict[tuple[Place, int, int], str]]:
        """What a reader of the manifest reads: where, and its digest. Nothing if there is no manifest."""
        if not (self.out / MANIFEST).exists():
            return []
        found = {}
        for row in rows(self.out):
            path = self.out / row["shard"] / ("" if row["shard"].endswith(".tar") else row["member"])
            place = (path, row["offset"], row["bytes"])
            found[place] = piece(*place)
        return [found]

    @invariant()
    def manifest_names_only_what_is_there(self) -> None:
        assert_readable(self.out)

    @invariant()
    def readers_of_old_manifests_are_not_cut_off(self) -> None:
        for manifest in self.manifests:
            for place, digest in manifest.items():
                assert piece(*place) == digest


def piece(path: Place, offset: int, length: int) -> str:
    with path.open("rb") as file:
        file.seek(offset)
        return hashlib.sha256(file.read(length)).hexdigest()


def test_any_order_of_changes_runs_kills_and_collections_leaves_what_the_model_says(
    fast_path: Place, vocoder_path: Path, tmp_path: Path
) -> None:
    vocoders = [str(vocoder_path), str(tiny_vocoder(tmp_path / "other.onnx", seed=1))]
    run_state_machine_as_test(
        lambda: Corpus(tmp_path if ON_S3 else fast_path, fast_path, vocoders),
        settings=settings(
            max_examples=trials(150, 8),
            stateful_step_count=trials(30, 15),
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
