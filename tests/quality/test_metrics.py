"""The figures of bench-quality, where they are known beforehand."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.frame_by_frame import mel_to_magnitude, reconstruct
from support.quality_metrics import NAMES, measure, median_interval
from tools.quality.judging import kept_rows
from tools.quality.kinds import CHANGES, KINDS
from tools.quality.speech import SPEC, VOICES, prompts
from tools.quality.systems import SYSTEMS, vocoded
from tools.quality.tables import iterations_table, table

from pipeline.dsp.mel import log_mel
from pipeline.dsp.net_magnitude import net_magnitude_blocks
from pipeline.kernels.frame_blocks import from_blocks
from pipeline.kernels.phase_stage import Method
from pipeline.vocoders import load_vocoder


@pytest.fixture(autouse=True)
def _one_core() -> Iterator[None]:
    """As in the bench: speechmos makes a session for each call, whose threads would spin."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    yield
    os.sched_setaffinity(0, cores)


@pytest.fixture(scope="module")
def recording() -> np.ndarray:
    return prompts(1)["Carlo"][0][1]


def test_a_recording_against_itself_is_perfect(recording: np.ndarray) -> None:
    found = measure(recording, recording, log_mel(recording, SPEC), SPEC)
    assert set(found) == set(NAMES)
    assert found["pesq"] > 4.6
    assert found["stoi"] == pytest.approx(1)
    assert found["mel_distance"] == found["lsd"] == found["f0_cents"] == 0
    assert found["voicing_f1"] == 1


def test_every_figure_falls_with_a_poor_reconstruction(recording: np.ndarray) -> None:
    mel = log_mel(recording, SPEC)
    good, bad = (measure(recording, reconstruct(mel_to_magnitude(mel, SPEC, 30), SPEC, i), mel, SPEC) for i in (16, 0))
    assert all(good[name] > bad[name] for name in ("pesq", "stoi"))
    assert all(good[name] < bad[name] for name in ("mel_distance", "lsd"))


def test_the_interval_holds_the_median_and_leaves_out_what_has_no_value() -> None:
    median, low, high = median_interval([*np.random.default_rng(0).normal(3, 1, 60), float("nan")])
    assert low < median < high
    assert 2.5 < low < 3 < high < 3.5


def test_every_kind_of_mel_differs_from_the_clean_one(recording: np.ndarray) -> None:
    mel = log_mel(recording, SPEC)
    apart = [float(np.abs(change(mel) - mel).mean()) for change in CHANGES.values()]
    assert apart[0] == 0
    assert all(0.05 < each < 0.5 for each in apart[1:])


def test_the_table_has_a_row_for_each_system_and_kind(recording: np.ndarray) -> None:
    figures = dict.fromkeys(NAMES, 1.0)
    rows = [{"kind": kind, "system": system, **figures} for kind in KINDS for system in SYSTEMS]
    lines = table(rows).splitlines()
    assert sum(line.startswith("| lift |") for line in lines) == len(KINDS)
    assert all(line.count("|") == len(NAMES) + 2 for line in lines if line.startswith("|"))


def test_iterations_are_compared_utterance_by_utterance_with_the_fewest() -> None:
    scores = {"lift, 16 iterations": (3.0, 4.0), "lift": (3.1, 4.2), "lift-hq": (2.9, 4.0)}
    rows = [
        {"kind": "clean", "voice": "June", "utterance": number, "system": system, "pesq": pesq, "mel_distance": 0.1}
        for system, both in scores.items() for number, pesq in enumerate(both)
    ]  # fmt: skip
    lines = iterations_table([*rows, {**rows[0], "kind": "smoothed over 3 frames", "pesq": 1.0}]).splitlines()
    assert lines[2:] == [
        "| 16 | 3.50 |  | 0.100 |", "| 32 | 3.65 | +0.150 (+0.100 to +0.200) | 0.100 |",
        "| 48 | 3.45 | -0.050 (-0.100 to +0.000) | 0.100 |",
    ]  # fmt: skip


def test_rows_of_other_weights_are_measured_again(tmp_path: Path) -> None:
    (tmp_path / "June.onnx").write_bytes(b"weights")
    rows = [
        {"voice": "June", "system": "lift", "fold": None}, {"voice": "June", "system": "librosa", "fold": None},
        {"voice": "June", "system": "lift-hq", "fold": hashlib.sha256(b"weights").hexdigest()[:16]},
        {"voice": "Carlo", "system": "lift", "fold": None},
        {"voice": "June", "system": "lift, vocoder.mels predicted", "fold": None},
    ]  # fmt: skip
    rows = [{"kind": "clean", "net": None} | row for row in rows]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert kept_rows(tmp_path / "rows.jsonl", tmp_path, {}) == rows[1:-1]


def test_mels_of_another_net_of_model_b_are_measured_again(tmp_path: Path) -> None:
    row = {"voice": "June", "system": "librosa", "fold": None, "kind": "model B", "net": "0123"}
    clean = row | {"kind": "clean", "net": None}
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in (row, clean)))
    assert kept_rows(tmp_path / "rows.jsonl", None, {"June": Path("0123.npz")}) == [row, clean]
    assert kept_rows(tmp_path / "rows.jsonl", None, {"June": Path("4567.npz")}) == [clean]


def test_the_same_audio_has_the_same_scores_whatever_was_judged_before(recording: np.ndarray) -> None:
    """The package that takes PLCMOS draws its listeners by numpy's global generator."""
    mel = log_mel(recording, SPEC)
    first = measure(recording, recording, mel, SPEC)
    np.random.seed(1)  # noqa: NPY002
    assert measure(recording, recording, mel, SPEC) == first


@pytest.mark.parametrize("name", ["lift", "griffin-lim"])
def test_what_is_judged_as_predicted_is_what_the_vocoder_makes_of_predicted_mels(
    recording: np.ndarray, name: str
) -> None:
    mel = log_mel(recording[: 60 * SPEC.hop_length], SPEC)
    made = vocoded(f"{name}, vocoder.mels predicted", "Carlo", mel, None)
    np.testing.assert_array_equal(made, load_vocoder(name, SPEC, mels="predicted").decode(mel))
    assert not np.array_equal(made, vocoded(name, "Carlo", mel, None))


def test_what_is_judged_as_refined_is_what_the_refined_vocoder_makes(recording: np.ndarray) -> None:
    mel = log_mel(recording[: 60 * SPEC.hop_length], SPEC)
    made = load_vocoder("hifigan-universal", refine=2).decode(mel)
    np.testing.assert_array_equal(vocoded("hifigan-universal, refine 2", "Carlo", mel, None), made)


def test_phases_by_admm_are_worth_more_pesq_in_few_iterations() -> None:
    """From a net's magnitudes, on a prompt of each voice."""
    lift = load_vocoder("lift")
    scores: dict[Method, list[float]] = {"fast-griffin-lim": [], "admm": []}
    for voice in VOICES:
        wave = prompts(1)[voice][0][1]
        mel = log_mel(wave, SPEC)
        levels = lift._model.run(mel[None], lift.name)  # type: ignore[attr-defined]
        magnitude = from_blocks(net_magnitude_blocks(levels, SPEC, before=0), len(levels))
        for method, found in scores.items():
            found.append(measure(wave, reconstruct(magnitude, SPEC, 8, method, anchor=0.2), mel, SPEC)["pesq"])
    assert np.mean(scores["admm"]) > np.mean(scores["fast-griffin-lim"]), scores
