"""Damaged and hostile stores: a run ends as it documents, makes what can be made, and makes nothing wrong.

Every chunk of these stores is under a checksum, and the utterances of the ragged one under digests. What a store
without either cannot show is a value that was replaced by another possible one, a mel exchanged for another, a length,
shape, axis or byte order that still fits: there the audio is of the mel that is read, and only utterances that the
damage touches may differ.
"""

import os
import re
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from support.corpora import digests, rows
from support.faults.damaged_store import Damage, Store
from support.faults.invariant import Reference
from support.faults.layouts import MAKERS, load_mels
from support.faults.places import Place, beside, rmtree
from support.faults.scale import trials
from support.faults.store_mutations import MUTATIONS, Mutation

from pipeline.config import JobConfig
from pipeline.errors import MelmillError
from pipeline.jobs.run import run
from pipeline.output.audit import verify

REFUSALS = {2, 4}
"""The store is none or cannot be read, or its contract does not fit."""
MOST_MEMORY = 512 * 2**20
COORDINATES = re.compile(r"chunk|\[\d+[],]|items? \d|array \S+|frames at \S+ of|/\S*(json|zarray|zattrs)")


@pytest.fixture(scope="module", params=MAKERS)
def sound(request: pytest.FixtureRequest, small_mels: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A whole store. Not to be changed: copy it."""
    path = tmp_path_factory.mktemp("sound") / "mels.zarr"
    MAKERS[request.param](path, small_mels)
    return Store(request.param, path, {key: mel.shape[1] for key, mel in load_mels(small_mels).items()})


def test_a_sound_store_gives_the_reference(
    sound: Store, vocoder_path: Path, reference: Reference, outputs: Place
) -> None:
    run(job_for(beside(sound.path, outputs), vocoder_path, outputs / "audio"))
    assert digests(outputs / "audio") == reference.digests


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3 spec")
@pytest.mark.filterwarnings("ignore:Combining a `sharding_indexed` codec")
@settings(
    max_examples=trials(63, 5),
    derandomize=True,
    phases=[Phase.generate],  # a seed does not shrink
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(mutation=st.sampled_from(MUTATIONS), seed=st.integers(0, 2**32 - 1))
def test_a_mutated_store_gives_only_what_is_right(
    sound: Store,
    vocoder_path: Path,
    reference: Reference,
    tmp_path_factory: pytest.TempPathFactory,
    new_place: Callable[[], Place],
    mutation: Mutation,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("mutated")
    store = Store(sound.name, Path(shutil.copytree(sound.path, folder / "mels.zarr")), sound.frames)
    damage = mutation(store, Random(seed))
    outputs = new_place()
    assume(isinstance(outputs, Path) or all(is_unicode(path) for path in store.files()))  # as all names of objects are
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    out = outputs / "audio"
    refusal = attempt(job_for(beside(store.path, outputs), vocoder_path, out))
    if refusal is None:
        judge(out, damage, reference)
    else:
        assert damage.refused, (damage.what, refusal)
        assert refusal.exit_code in REFUSALS, (damage.what, refusal)
        assert not (out / "manifest.jsonl").exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < MOST_MEMORY, damage.what
    for place in (folder, outputs):
        rmtree(place)


def is_unicode(path: Path) -> bool:
    try:
        os.fsencode(path).decode()
    except UnicodeDecodeError:
        return False
    return True


def attempt(job: JobConfig) -> MelmillError | None:
    """Run the job; the error that it documents, if it ends with one."""
    try:
        run(job)
    except MelmillError as error:
        return error
    return None


def job_for(store: Place, vocoder: Path, out: Place) -> JobConfig:
    return JobConfig.build(
        {
            "input": {"store": str(store)},
            "vocoder": {"name": str(vocoder)},
            "output": {"url": str(out), "shard_seconds": 1.0},
            "cluster": {"kind": "synchronous"},
            "quality": {"max_failure_rate": 1},
        }
    )


def judge(out: Place, damage: Damage, reference: Reference) -> None:
    """What holds after a run on a damaged store that came to its end."""
    made = {damage.renamed.get(key, key): digest for key, digest in digests(out).items()}
    failed: dict[str, str] = {}
    for row in rows(out, "failures.jsonl"):
        old = damage.renamed.get(row["key"], row["key"])
        failed[row["key"] if old in failed else old] = row["reason"]  # a key that stands twice fails twice
    wrong = {key for key in made if made[key] != reference.digests.get(key)}
    assert verify(str(out)).findings == ()
    assert wrong <= (damage.touched if damage.hidden else set()), (damage.what, wrong)
    assert set(failed) <= damage.touched, (damage.what, failed)
    assert damage.lost <= set(failed), (damage.what, damage.lost - set(failed))
    assert set(made) | set(failed) == set(reference.digests), (damage.what, made, failed)
    for key, reason in failed.items():
        assert COORDINATES.search(reason), (damage.what, key, reason)
