"""The invariant itself notices what it is to notice."""

from collections.abc import Callable

import pytest
from support.faults.invariant import Reference, assert_invariant, assert_readable
from support.faults.places import located

from pipeline.config import JobConfig
from pipeline.jobs.run import run

Build = Callable[..., JobConfig]


def test_a_run_without_faults_passes(small_job: Build, reference: Reference) -> None:
    out = located(small_job().output.url)
    run(small_job())
    assert_invariant(out, reference)
    assert_readable(out)


def test_other_audio_a_lost_row_and_a_lost_object_do_not(small_job: Build, reference: Reference) -> None:
    out = located(small_job().output.url)
    run(small_job())
    key = next(iter(reference.digests))
    with pytest.raises(AssertionError):
        assert_invariant(out, Reference({**reference.digests, key: "other"}))
    with pytest.raises(AssertionError):
        assert_invariant(out, reference, failed=frozenset({key}))
    next((out / "data").iterdir()).unlink()
    with pytest.raises(AssertionError):
        assert_invariant(out, reference)
    with pytest.raises(FileNotFoundError):
        assert_readable(out)
