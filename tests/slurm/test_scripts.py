"""The scripts for sbatch that users are given, on a real SLURM."""

from collections.abc import Callable
from pathlib import Path

from support.faults.invariant import Reference, assert_invariant
from support.faults.processes import events_in
from support.slurm_daemons import CORPUS, LONG, Settings, Slurm, until

from pipeline.output.layout import COMMITS

SCRIPTS = CORPUS.parent


def submitted(slurm: Slurm, script: str, folder: Path, chosen: dict[str, object], *options: str) -> str:
    """The number of the job. What it says goes to files in the folder."""
    flags = [f"--set={key}={value}" for key, value in chosen.items()]
    log = "part-%a.log" if script == "array.sh" else "log"
    small = ["--parsable", "--open-mode=append", f"--chdir={folder}", f"--output={folder}/{log}", *options]
    return slurm("sbatch", *small, str(SCRIPTS / script), *flags, "--log-json")


def commits(folder: Path) -> int:
    return len(list((folder / "audio" / COMMITS).glob("*")))


def test_an_array_of_which_two_tasks_are_killed_makes_and_publishes_all(
    slurm: Slurm, settings: Settings, lasting: Callable[[float], tuple[Path, Reference]], tmp_path: Path
) -> None:
    store, reference = lasting(24)  # each of the eight tasks works for three seconds at least
    chosen = {key: value for key, value in settings(store).items() if not key.startswith("cluster.")}
    number = submitted(slurm, "array.sh", tmp_path, chosen | {"cluster.kind": "synchronous"})
    for index in (2, 5):
        log = tmp_path / f"part-{index}.log"
        until(lambda: log.exists() and events_in(log, "ShardStarted"), f"a shard of task {index}")  # noqa: B023
        slurm("scancel", "--signal=KILL", f"{number}_{index}")
    until(lambda: not slurm.jobs(), "the end of the array", LONG)
    assert_invariant(tmp_path / "audio", reference)
    finished = [events_in(tmp_path / f"part-{index}.log", "PartFinished") for index in range(8)]
    assert [bool(each) for each in finished] == [index not in (2, 5) for index in range(8)]
    assert any(events_in(tmp_path / f"part-{index}.log", "RunFinished") for index in range(8))


def test_a_run_that_is_a_job_itself_goes_on_after_its_own_time_limit(
    slurm: Slurm, settings: Settings, lasting: Callable[[float], tuple[Path, Reference]], tmp_path: Path
) -> None:
    """SLURM warns it as at the end of its time, it interrupts the run and has itself started again."""
    store, reference = lasting(20)  # two workers are not done before the warning comes
    chosen = settings(store)
    flags = [f"--set={key}={value}" for key, value in chosen.items()]
    small = ["--parsable", "--open-mode=append", f"--chdir={tmp_path}", f"--output={tmp_path}/log"]
    number = slurm("sbatch", *small, str(SCRIPTS / "driver.sh"), str(CORPUS), *flags, "--log-json")
    until(lambda: commits(tmp_path) >= 2, "commit 2")
    slurm("scancel", "--batch", "--signal=TERM", number)  # what --signal=B:TERM@180 does three minutes before the end
    until(lambda: not slurm.jobs(), "the end of the run", LONG)
    assert_invariant(tmp_path / "audio", reference)
    assert events_in(tmp_path / "log", "RunStopping")
    assert len(events_in(tmp_path / "log", "RunStarted")) == 2
