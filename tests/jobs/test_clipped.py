"""A run most of whose samples are clipped is not done well, unless the job says so."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import zarr
from onnx import numpy_helper
from support.corpora import rows
from support.user_models import SPEC, appended, saved, user_model
from typer.testing import CliRunner

import pipeline
from pipeline.cli import app
from pipeline.config import JobConfig
from pipeline.errors import ClippedError
from pipeline.workshop.import_onnx import import_onnx


@pytest.fixture
def loud(tmp_path: Path) -> Path:
    """A model in the range of 16-bit integers, as it was imported when nothing looked at that."""
    model = import_onnx(saved(tmp_path / "theirs.onnx", user_model()), SPEC).model
    model.graph.initializer.append(numpy_helper.from_array(np.float32(32768), "k"))
    appended("Mul", "k")(model)
    onnx.checker.check_model(model)
    return saved(tmp_path / "loud.onnx", model)


@pytest.fixture
def config(job: Callable[..., JobConfig], loud: Path, tmp_path: Path) -> Callable[..., JobConfig]:
    group = zarr.open_group(str(tmp_path / "s.zarr"), mode="w")
    for i in range(3):
        group.create_array(f"u{i}", data=np.random.default_rng(i).normal(-6, 1.5, (20, 90 + i)).astype(np.float32))
    plain = {"input__store": str(tmp_path / "s.zarr"), "input__mel": SPEC.to_dict(), "vocoder__name": str(loud)}
    return lambda **more: job(**plain, input__check_values=False, **more)


def test_a_run_most_of_whose_samples_clip_ends_with_an_error_each_time(
    config: Callable[..., JobConfig], tmp_path: Path
) -> None:
    for _ in range(2):
        with pytest.raises(ClippedError) as error:
            pipeline.run(config())
        assert error.value.exit_code == 7
        for words in ("of the samples in", "quality.max_clipped_rate, 50.0%", "loud.onnx", "vocoder import --scale"):
            assert words in str(error.value)
        assert len(rows(tmp_path / "audio")) == 3
    assert pipeline.run(config(quality__max_clipped_rate=1)).run_id == ""


def test_floats_are_not_clipped(config: Callable[..., JobConfig]) -> None:
    totals = pipeline.run(config(output__codec="wav", output__subtype="FLOAT")).totals
    assert totals.over_full_scale_samples > 0.9 * 16 * (90 + 91 + 92)


def test_the_command_ends_with_7(config: Callable[..., JobConfig], loud: Path, tmp_path: Path) -> None:
    config()
    arguments = ["run", "--store", tmp_path / "s.zarr", "--out", tmp_path / "out", "--vocoder", loud]
    arguments += ["--scheduler", "synchronous", "--set", "input.check_values=false"]
    (tmp_path / "mel.yaml").write_text(json.dumps(SPEC.to_dict()))
    arguments += ["--set", f"input.mel={tmp_path / 'mel.yaml'}"]
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code == 7, done.output
    done = CliRunner().invoke(app, [*map(str, arguments), "--set", "quality.max_clipped_rate=1"])
    assert done.exit_code == 0, done.output


def test_the_share_is_that_of_the_samples_as_written(config: Callable[..., JobConfig]) -> None:
    """Two samples are written for each of the vocoder's, and the message says how many."""
    with pytest.raises(ClippedError, match=rf"of {2 * 16 * (90 + 91 + 92)}, with a peak of"):
        pipeline.run(config(output__sample_rate=16000))
