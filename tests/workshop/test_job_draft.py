"""`melmill init`: a job file for a store, with what inspect finds in it, which `melmill plan` takes."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
import zarr
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import JobConfig
from pipeline.melspec import PRESETS
from pipeline.workshop.job_draft import FittingVocoder, fitting_vocoder


def melmill(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(each) for each in words])
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "job.yaml"


def test_a_new_job_file_for_a_store_is_one_that_plan_takes(store: Path, job: Path) -> None:
    assert f"melmill plan {job}" in melmill("init", job, "--store", store)
    written = JobConfig.build(yaml.safe_load(job.read_text()))
    assert (written.input.store, written.input.layout, written.input.mel) == (str(store), "ragged", "auto")
    assert written.vocoder.name == "hifigan-universal"
    assert "# The store states it: hifigan-22k\n" in job.read_text()
    assert "to make   24 utterances" in melmill("plan", job)


def test_without_a_path_it_is_printed_and_without_a_store_it_has_defaults(job: Path) -> None:
    assert yaml.safe_load(melmill("init"))["input"]["store"] == "mels.zarr"
    melmill("init", job)
    assert job.read_text() == melmill("init")


def test_a_file_is_never_overwritten(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job.write_text("mine")
    assert "job.yaml exists already" in melmill("init", job, code=2)
    with monkeypatch.context() as patch:
        patch.setattr(os.path, "exists", lambda path: False)  # it comes up between the look and the writing
        assert "job.yaml exists already" in melmill("init", job, code=2)
    assert job.read_text() == "mine"


def test_a_file_that_cannot_be_written_is_told_with_its_folder_and_a_remedy(job: Path) -> None:
    folder = job.with_name("no") / "such folder"
    assert f"there is no folder {folder}. Make it (mkdir -p '{folder}')" in melmill("init", folder / "j.yaml", code=2)
    job.write_text("")
    assert f"{job} lies in a file, or is one. Choose another" in melmill("init", job / "job.yaml", code=2)
    name = "j" * 300
    assert "File name too long. Choose another place" in melmill("init", job.with_name(name), code=6)


def test_a_contract_without_a_store_is_refused() -> None:
    assert "--store, which is missing" in melmill("init", "--mel", "hifigan-22k", code=2)


def test_a_store_that_states_no_contract_is_asked_for_it_unless_its_values_tell(mels: Path, job: Path) -> None:
    grouped = job.with_name("grouped.zarr")
    group = zarr.open_group(grouped, mode="w")
    for path in sorted(mels.rglob("*.npy")):
        group.create_array(f"{path.parent.name}-{path.stem}", data=np.load(path))
    said = melmill("init", job, "--store", grouped, code=4)
    assert "states no mel contract, and its values fit " in said
    assert "hifigan-22k" in said
    assert not job.exists()
    melmill("init", job, "--store", grouped, "--mel", "hifigan-22k")
    written = yaml.safe_load(job.read_text())
    assert (written["input"]["layout"], written["input"]["mel"]) == ("grouped", "hifigan-22k")
    assert "to make   24 utterances" in melmill("plan", job)


def test_a_store_whose_values_contradict_its_contract_is_refused(store: Path, job: Path) -> None:
    group = zarr.open_group(store)
    attributes = dict(group.attrs["melmill"])
    attributes["mel"] = PRESETS["pwg-22k"].to_dict()
    group.attrs["melmill"] = attributes
    assert "contradict the mel contract" in melmill("init", job, "--store", store, code=4)


@pytest.mark.parametrize(
    ("preset", "fits"),
    [
        ("hifigan-22k", FittingVocoder("hifigan-universal")),
        ("nemo-22k", FittingVocoder("hifigan-universal")),
        ("tacotron2-22k", FittingVocoder("lift")),
        ("speecht5-16k", FittingVocoder("lift-speecht5-16k")),
        ("vocos-24k", FittingVocoder("griffin-lim")),
    ],
)
def test_the_vocoder_that_fits_takes_the_mels_with_the_least_changes(preset: str, fits: FittingVocoder) -> None:
    assert fitting_vocoder(PRESETS[preset]) == fits


def test_mels_that_must_be_converted_get_a_job_that_converts_them(mels: Path, job: Path) -> None:
    spec = PRESETS["hifigan-22k"].to_dict() | {"log": "log10"}
    folder = job.with_name("log10")
    for path in sorted(mels.rglob("*.npy")):
        folder.mkdir(exist_ok=True)
        np.save(folder / f"{path.parent.name}-{path.name}", np.load(path) / np.float32(np.log(10)))
    contract = job.with_name("spec.yaml")
    contract.write_text(json.dumps(spec))
    melmill("pack", folder, job.with_name("mels.zarr"), "--mel", contract, "--workers", 1)
    melmill("init", job, "--store", "mels.zarr")
    written = yaml.safe_load(job.read_text())
    assert (written["input"]["convert"], written["vocoder"]["name"]) == (True, "hifigan-universal")
    assert "converts exactly" in melmill("plan", job)
