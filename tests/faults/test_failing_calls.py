"""The Nth call of the storage fails, once and from then on, whatever it is."""

import errno
import hashlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from unittest import mock

import pytest
from support.corpora import digests
from support.faults.children import AHEAD, CONTEXT
from support.faults.injection import CALLS, Injection, failing
from support.faults.invariant import Reference, assert_invariant, assert_readable
from support.faults.places import Place, copytree, located, rmtree
from support.faults.scale import FULL, spread, trials

from pipeline.audio import encode
from pipeline.config import JobConfig
from pipeline.errors import StorageError
from pipeline.jobs.run import run
from pipeline.output.layout import COMMITS, PUBLISHED, STATUS
from pipeline.storage import PRIVATE, SCRATCH

Build = Callable[..., JobConfig]
NO_OBJECTS = (SCRATCH, f"{PRIVATE}/run.lock", STATUS)
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.ETIMEDOUT)


@dataclass(frozen=True)
class Trial:
    """One run with a fault.

    Args:
        config: of the run.
        start: folder with the output as it is before.
        place: folder for the output, not there yet.
        number: of the first call that fails.
        code: errno; after ETIMEDOUT what was asked for is done all the same, only the answer is lost.
        for_ever: whether all that follow fail, too.
        reference: what there is in the end.
    """

    config: JobConfig
    start: Place
    place: Place
    number: int
    code: int
    for_ever: bool
    reference: Reference

    def __str__(self) -> str:
        return f"{errno.errorcode[self.code]} {'from' if self.for_ever else 'at'} call {self.number}"


Leavings = frozenset[tuple[str, str]]
resumed: set[Leavings] = set()
"""What runs left, and the next one resumed, in this process: equal leavings are resumed once."""


def try_it(trial: Trial) -> str:
    """The run makes it, or ends with a StorageError; without the fault, the next one makes it in any case."""
    out = located(trial.config.output.url)
    copytree(trial.start, trial.place)
    hooks = failing(trial.number, trial.code, trial.for_ever, answer_lost=trial.code == errno.ETIMEDOUT)
    told = "made it"
    with mock.patch.object(encode, "_SPOOL_BYTES", 4096):
        try:
            with Injection(trial.place, *hooks, kinds=CALLS):
                run(trial.config)
        except StorageError as error:  # no other error, which would come out as another exit code
            told = str(error)
            assert_readable(out)
            if (left := leavings(trial)) not in resumed:
                run(trial.config)
                resumed.add(left)
                told += " - and resumed"
    if told == "made it" or told.endswith("resumed"):
        assert_invariant(out, trial.reference)
    rmtree(trial.place)
    return told


def leavings(trial: Trial) -> Leavings:
    """Every object by name, with its digest if it is audio; the others differ from run to run in names and dates."""
    out = located(trial.config.output.url)
    found = {("start", str(trial.start))}
    for path in out.rglob("*"):
        name = str(path.relative_to(out))
        if path.is_file() and not name.startswith(NO_OBJECTS):
            content = path.read_bytes()
            found.add((name, hashlib.sha256(content).hexdigest() if name.startswith("data/") else str(len(content))))
    return frozenset(found)


def without_faults(config: JobConfig, start: Place, place: Place) -> tuple[int, Reference]:
    """How many calls the run makes if none fails, and what there is then."""
    copytree(start, place)
    with mock.patch.object(encode, "_SPOOL_BYTES", 4096), Injection(place) as injection:
        run(config)
    reference = Reference(digests(located(config.output.url)))
    rmtree(place)
    return injection.count, reference


def beginnings(config: JobConfig, start: Place, how: str) -> None:
    """Makes the output as it is before the run with the fault."""
    start.mkdir()
    if how == "new":
        return
    run(config)
    if how == "killed before the commit":
        rmtree(start / "audio" / COMMITS)
        (start / "audio" / PUBLISHED).unlink()


@pytest.mark.parametrize(
    ("how", "container", "codec", "subtype"),
    [
        ("new", "tar", "flac", "PCM_16"),
        ("new", "files", "flac", "PCM_16"),
        ("killed before the commit", "tar", "flac", "PCM_16"),
        ("killed before the commit", "tar", "wav", "FLOAT"),  # whose bytes differ from attempt to attempt
        ("killed before the commit", "files", "wav", "FLOAT"),
        ("all is done", "tar", "flac", "PCM_16"),
    ],
)
def test_a_call_that_fails_ends_the_run_with_exit_6_or_not_at_all(
    few_job: Build, fast_path: Place, how: str, container: str, codec: str, subtype: str
) -> None:
    def build(place: Place) -> JobConfig:
        form = {"output__container": container, "output__codec": codec, "output__subtype": subtype}
        return few_job(output__url=str(place / "audio"), **form)

    start, place = fast_path / "start", fast_path / "place"
    beginnings(build(start), start, how)
    count, reference = without_faults(build(place), start, place)
    assert count > 30
    cases = [(number, code, ever) for number in range(1, count + 1) for code in ERRORS for ever in (False, True)]
    if how != "new" or container != "tar":  # each call with one fault, in turn
        faults = len(cases) // count
        cases = [cases[index * faults + index % faults] for index in range(count)]
    chosen = [
        Trial(build(fast_path / str(index)), start, fast_path / str(index), *case, reference)
        for index, case in enumerate(spread(cases, trials(len(cases), 11)))
    ]
    with ProcessPoolExecutor(AHEAD, CONTEXT) as pool:
        told = list((pool.map if FULL else map)(try_it, chosen))
    for trial, words in zip(chosen, told, strict=True):
        print(f"{trial}: {words}")
    assert any(words != "made it" for words in told)
