"""Five days of a corpus made anew: each day's plan, work and manifest, and a reader who stays with the first."""

import hashlib
import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from support.corpora import SPEC, assert_whole, digests, every_byte, rows, tiny_vocoder
from support.faults.children import ahead
from support.packs import pack_npy
from support.recipes import mail_of, start_by_cron

from pipeline.config import JobConfig
from pipeline.events import Event, RunStarted, ShardCommitted
from pipeline.jobs.report import RunReport
from pipeline.jobs.run import plan, run
from pipeline.output.garbage import collect_garbage
from pipeline.output.layout import COMMITS


@dataclass
class Corpus:
    """Mels in a folder, the store that is packed of them every night, and a job.yaml whose output is `audio`."""

    folder: Path
    build: Callable[..., JobConfig]

    @property
    def mels(self) -> Path:
        return self.folder / "mels"

    @property
    def out(self) -> Path:
        return self.folder / "audio"

    def job(self, **settings: Any) -> JobConfig:
        places = {"input__store": str(self.folder / "mels.zarr"), "output__url": str(self.out)}
        return self.build(**{**places, **settings})

    def pack(self) -> None:
        shutil.rmtree(self.folder / "mels.zarr", ignore_errors=True)
        pack_npy(str(self.mels), str(self.folder / "mels.zarr"), SPEC, workers=1)

    def night(self, config: JobConfig) -> tuple[dict[str, str], RunReport, list[str]]:
        """Plan and run: why each shard is made, how the run ended, and the shards that it made."""
        planned = {shard.name: shard.reason for shard in plan(config).todo}
        events: list[Event] = []
        report = run(config, events.append)
        told = [(reason.words, reason.shards) for e in events if isinstance(e, RunStarted) for reason in e.reasons]
        assert Counter(dict(told)) == Counter(planned.values())
        return planned, report, [event.name for event in events if isinstance(event, ShardCommitted)]

    def shards(self) -> dict[str, set[str]]:
        """Keys by the number of their shard."""
        found: dict[str, set[str]] = {}
        for row in rows(self.out):
            found.setdefault(Path(row["shard"]).name.partition("-")[0], set()).add(row["key"])
        return found


class Reader:
    """Someone who has read the manifest once, and reads the audio by it whenever they like."""

    def __init__(self, out: Path) -> None:
        self.out, self.rows = out, rows(out)

    def read(self) -> None:
        for row in self.rows:
            with open(self.out / row["shard"], "rb") as tar:
                tar.seek(row["offset"])
                (self.out.parent / "member.flac").write_bytes(tar.read(row["bytes"]))
            pcm = soundfile.read(self.out.parent / "member.flac", dtype="int16")[0]
            assert hashlib.sha256(pcm.astype("<i2").tobytes()).hexdigest() == row["pcm_sha256"], row["key"]


@pytest.fixture
def corpus(small_job: Callable[..., JobConfig], small_mels: Path, tmp_path: Path) -> Corpus:
    shutil.copytree(small_mels, tmp_path / "mels")
    return Corpus(tmp_path, small_job)


def test_five_days_of_a_corpus(corpus: Corpus, tmp_path: Path) -> None:
    job = corpus.job()
    corpus.pack()
    planned, _, made = corpus.night(job)
    assert set(planned.values()) == {"new"}
    assert sorted(made) == sorted(planned)
    assert_whole(corpus.out, 12)
    first_day, reader = digests(corpus.out), Reader(corpus.out)

    changed, added, removed = {"piece-00", "piece-01", "piece-08"}, {"piece-04b", "zuletzt"}, "piece-05"
    homes = corpus.shards()
    second_day(corpus, changed, added, removed)
    expected = Counter(why(keys, changed, removed) for keys in homes.values()) + Counter({"new": 2})
    planned, report, made = corpus.night(job)
    assert Counter(planned.values()) == expected - Counter({"": expected[""]})
    assert sorted(made) == sorted(planned)
    assert report.made_seconds < report.totals.seconds  # not all of it
    assert_whole(corpus.out, 13)
    now = digests(corpus.out)
    assert now.keys() == first_day.keys() - {removed} | added
    assert {key for key in first_day if first_day[key] != now.get(key)} == changed | {removed}
    after = corpus.shards()
    assert {number: after[number] for number in homes} == {number: keys - {removed} for number, keys in homes.items()}
    reader.read()

    third_day = tiny_vocoder(tmp_path / "third.onnx", seed=1)
    planned, report, made = corpus.night(corpus.job(vocoder__name=str(third_day)))
    assert len(made) == len(planned) == len(after)
    assert all(reason.startswith("vocoder ") and ";" not in reason for reason in planned.values())
    assert corpus.shards() == after
    assert not set(digests(corpus.out).values()) & set(now.values())
    assert_whole(corpus.out, 13)
    reader.read()

    (corpus.folder / "job.yaml").write_text(corpus.job(vocoder__name=str(third_day)).model_dump_json())
    before = every_byte(corpus.out)
    assert mail_of(start_by_cron(corpus.folder)) == (0, "")  # the fourth day
    assert every_byte(corpus.out) == before

    fifth_day(corpus, reader)


def second_day(corpus: Corpus, changed: set[str], added: set[str], removed: str) -> None:
    for key in changed:
        path = corpus.mels / f"{key}.npy"
        np.save(path, np.load(path)[:, ::-1])
    for key in added:
        shutil.copy(corpus.mels / "piece-11.npy", corpus.mels / f"{key}.npy")
    (corpus.mels / f"{removed}.npy").unlink()
    corpus.pack()


def why(keys: set[str], changed: set[str], removed: str) -> str:
    """The reason that a plan must give for a shard of these keys; empty for none."""
    left, reasons = keys - {removed}, []
    if keys & changed:
        reasons.append(f"{len(keys & changed)} of {len(left)} mels changed")
    if left != keys:
        reasons.append(f"1 of {len(keys)} utterances is no longer in it")
    return "; ".join(reasons)


def run_until_a_commit(job: JobConfig) -> None:
    """A run that SIGKILL ends when it has committed its first shard."""

    def listen(event: Event) -> None:
        if isinstance(event, ShardCommitted):
            os.kill(os.getpid(), signal.SIGKILL)

    run(job, listen)


def fifth_day(corpus: Corpus, reader: Reader) -> None:
    """Another vocoder; its job is killed when it has made a shard, and started again by cron."""
    job = corpus.job(vocoder__name="griffin-lim")
    (corpus.folder / "job.yaml").write_text(job.model_dump_json())
    planned = {shard.name for shard in plan(job).todo}
    third = Reader(corpus.out)
    assert len(planned) == len(corpus.shards())

    def committed() -> dict[str, tuple[str, int]]:
        there = every_byte(corpus.out / COMMITS)
        return {name: there[name] for name in there if Path(name).name.split(".")[0] in planned}

    ((_, code),) = ahead(run_until_a_commit, [job], lambda job: (job,))
    assert code == -signal.SIGKILL
    kept = committed()
    assert 0 < len(kept) < len(planned)
    third.read()
    assert json.loads(json.dumps(rows(corpus.out))) == third.rows  # the manifest is still that of the third day

    code, mail = mail_of(start_by_cron(corpus.folder))
    assert code == 0, mail
    assert f"{len(planned) - len(kept)} shards: vocoder " in mail
    assert {name: committed()[name] for name in kept} == kept
    assert_whole(corpus.out, 13)
    run(corpus.job(vocoder__name="griffin-lim", output__url=str(corpus.folder / "at-once")))
    assert digests(corpus.out) == digests(corpus.folder / "at-once")

    reader.read()
    third.read()
    collect_garbage(str(corpus.out))
    assert_whole(corpus.out, 13)
    for gone in (reader, third):
        with pytest.raises(FileNotFoundError):
            gone.read()
