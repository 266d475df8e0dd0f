"""`verify` finds every change of a finished output, names it, and gives the exit code of its kind."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from support.faults.output_mutations import CHANGES
from support.faults.places import Place, copytree, rmtree
from support.faults.scale import seeded, trials

from pipeline.config import JobConfig
from pipeline.jobs.run import run
from pipeline.output.audit import verify


@pytest.fixture(scope="module", params=["tar", "files"])
def output(
    request: pytest.FixtureRequest,
    small_store: Path,
    vocoder_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    new_place: Callable[[], Place],
) -> Place:
    """A finished output; of one shard all utterances are quarantined, of one some, and one before any work."""
    folder, out = tmp_path_factory.mktemp("verify"), new_place() / "audio"
    store = Path(shutil.copytree(small_store, folder / "mels.zarr"))
    group: Any = zarr.open_group(str(store), mode="r+")
    digests, keys = group["digests"][...], group["keys"][...]
    digests[[4, 5, 6, 9]] = 0
    keys[11] = ""
    group["digests"][...], group["keys"][...] = digests, np.asarray(keys)
    run(
        JobConfig.build(
            {
                "input": {"store": str(store)},
                "vocoder": {"name": str(vocoder_path)},
                "output": {"url": str(out), "shard_seconds": 1.0, "container": request.param},
                "cluster": {"kind": "synchronous"},
                "quality": {"max_failure_rate": 1},
            }
        )
    )
    report = verify(str(out))
    assert (report.exit_code, report.utterances, report.failed) == (0, 7, 5)
    return out


def test_every_change_is_found_and_named(output: Place, outputs: Place) -> None:
    for rng in seeded(trials(250, 20), "verify"):
        out = copytree(output, outputs / "changed")
        change = rng.choice(CHANGES)
        code, name = change(out, rng)
        report = verify(str(out))
        found = [f"{finding.kind}: {finding.name}: {finding.what}" for finding in report.findings]
        assert report.exit_code == code, (change.__name__, name, found)
        assert any(finding.name.startswith(name) for finding in report.findings), (change.__name__, name, found)
        rmtree(out)
