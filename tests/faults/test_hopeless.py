"""A store of which nothing can be made stops the run soon; what is only bad here and there does not."""

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from support.corpora import assert_whole, digests, rows
from support.faults.places import located
from support.faults.scale import trials

from pipeline.config import JobConfig
from pipeline.errors import HopelessRunError, TooManyFailuresError
from pipeline.events import Event, ShardCommitted, UtterancesMade
from pipeline.jobs.run import plan, run

Build = Callable[..., JobConfig]

UTTERANCES = 60
LIMIT = 20
LOCAL = {"cluster__kind": "local", "cluster__workers": 2}
SCHEDULERS = [{"cluster__kind": "synchronous"}, LOCAL][: trials(2, 1)]


@pytest.fixture(scope="session")
def dead_for_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dead")
    group = zarr.open_group(str(folder / "dead.zarr"), attributes={"mel": "hifigan-22k"})
    for index in range(UTTERANCES):
        mel = np.random.default_rng(index).uniform(-8, 0, (80, 20)).astype(np.float32)
        group.create_array(f"u{index:02d}", data=mel)
        shutil.move(folder / "dead.zarr" / f"u{index:02d}" / "c", folder / "chunks" / f"u{index:02d}")
    return folder


@pytest.fixture
def dead(dead_for_all: Path, tmp_path: Path) -> Path:
    """A store of sixty short mels whose chunks are gone; `restore` puts them back."""
    shutil.copytree(dead_for_all, tmp_path, dirs_exist_ok=True)
    return tmp_path / "dead.zarr"


def restore(store: Path, *indices: int) -> None:
    for index in indices:
        shutil.move(store.parent / "chunks" / f"u{index:02d}", store / f"u{index:02d}" / "c")


def failed(events: list[Event]) -> int:
    """Utterances that are known to have failed, from the last that was heard of each shard."""
    last = {event.shard: event.failed for event in events if isinstance(event, UtterancesMade | ShardCommitted)}
    return sum(last.values())


@pytest.mark.parametrize(
    ("shard_seconds", "cluster"), [(0.5, {}), (600, {}), (0.5, LOCAL), (600, LOCAL)][: trials(4, 3)]
)
def test_a_dead_store_stops_the_run_and_is_made_once_it_is_restored(
    small_job: Build, dead: Path, shard_seconds: float, cluster: dict[str, Any]
) -> None:
    config = small_job(input__store=str(dead), output__shard_seconds=shard_seconds)
    out = located(config.output.url)
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        time.sleep(0.05 * isinstance(event, ShardCommitted))  # workers go on meanwhile, and commit

    with pytest.raises(HopelessRunError) as caught:
        run(small_job(input__store=str(dead), output__shard_seconds=shard_seconds, **cluster), listen)
    assert not plan(config).done
    assert caught.value.exit_code == 7
    for words in (r"all failed in the same way \(MissingChunkError\)", r"u\d\d/c/0/0", r"quality\.give_up_after=0"):
        assert re.search(words, str(caught.value))
    assert shard_seconds == 600 or LIMIT <= failed(events) < UTTERANCES
    assert not (out / "manifest.jsonl").exists()
    with pytest.raises(HopelessRunError):
        run(config)
    restore(dead, *range(UTTERANCES))
    assert run(config).totals.failed == 0
    assert_whole(out, UTTERANCES)
    assert run(config).run_id == ""


def test_the_run_stops_at_the_failure_that_is_one_too_many(small_job: Build, dead: Path) -> None:
    config = small_job(input__store=str(dead), output__shard_seconds=600, quality__give_up_after=7)
    events: list[Event] = []
    with pytest.raises(HopelessRunError, match=r"the first 7 utterances all failed.*The first one: utterance 'u00'"):
        run(config, events.append)
    assert failed(events) == 7


@pytest.mark.parametrize("cluster", SCHEDULERS)
def test_told_never_to_give_up_it_goes_to_the_end(small_job: Build, dead: Path, cluster: dict[str, Any]) -> None:
    config = small_job(input__store=str(dead), output__shard_seconds=0.5, quality__give_up_after=0, **cluster)
    with pytest.raises(TooManyFailuresError, match="60 of 60 utterances failed"):
        run(config)
    out = located(config.output.url)
    assert_whole(out, UTTERANCES, failed=UTTERANCES)
    config = small_job(input__store=str(dead), output__shard_seconds=0.5, **cluster)
    with pytest.raises(TooManyFailuresError, match="60 of 60 utterances failed"):
        run(config, retry=True)  # which says so again, and leaves nothing for the next run to give up over
    assert not plan(config).todo
    restore(dead, *range(UTTERANCES))
    assert run(config, retry=True).totals.failed == 0
    assert_whole(out, UTTERANCES)


def test_one_utterance_that_is_made_shows_that_the_run_can_succeed(small_job: Build, dead: Path) -> None:
    restore(dead, 0)
    config = small_job(input__store=str(dead), output__shard_seconds=600, quality__max_failure_rate=1)
    assert run(config).totals.failed == UTTERANCES - 1
    assert list(digests(located(config.output.url))) == ["u00"]


def test_bad_utterances_that_are_few_do_not_keep_the_others_from_being_published(small_job: Build, dead: Path) -> None:
    """A store that grows by bad utterances alone, as many as may fail, night after night."""
    restore(dead, *range(40))
    bad = [f"u{index:02d}" for index in range(40, UTTERANCES)]
    for key in bad:
        shutil.move(dead / key, dead.parent / key)
    config = small_job(input__store=str(dead), output__shard_seconds=0.5, quality__max_failure_rate=0.4)
    run(config)
    for key in bad:
        shutil.move(dead.parent / key, dead)
    assert run(config).totals.failed == 20
    assert run(config).run_id == ""


def test_failures_of_several_kinds_do_not_stop_the_run(small_job: Build, dead: Path) -> None:
    restore(dead, 5)
    array = zarr.open_group(str(dead))["u05"]
    assert isinstance(array, zarr.Array)
    array[3, 4] = np.nan
    config = small_job(input__store=str(dead), output__shard_seconds=600, quality__max_failure_rate=1)
    assert run(config).totals.failed == UTTERANCES
    kinds = {row["error"] for row in rows(located(config.output.url), "failures.jsonl")}
    assert kinds == {"MissingChunkError", "BadMelError"}


@pytest.mark.parametrize("cluster", SCHEDULERS)
def test_a_store_that_is_dead_where_it_grew_leaves_the_manifest_as_it_is(
    small_job: Build, dead: Path, cluster: dict[str, Any]
) -> None:
    """It is read while it is being copied, for instance."""
    restore(dead, 0, 1, 2)
    late = [f"u{index:02d}" for index in range(3, UTTERANCES)]
    for key in late:
        shutil.move(dead / key, dead.parent / key)
    config = small_job(input__store=str(dead), output__shard_seconds=0.5, **cluster)
    out = located(config.output.url)
    run(config)
    for key in late:
        shutil.move(dead.parent / key, dead)
    with pytest.raises(HopelessRunError):
        run(config)
    assert set(digests(out)) == {"u00", "u01", "u02"}
    assert_whole(out, 3)
    restore(dead, *range(3, UTTERANCES))
    run(config)
    assert_whole(out, UTTERANCES)
