"""Utterances that do not fit their mel contract, among others that do: named and quarantined in every layout."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.corpora import SPEC, assert_whole, digests, rows
from support.faults.ragged_store import write_store
from support.making import make_grouped, make_padded
from support.misfits import UNSEEN, WAYS, corpus, quarantined
from typer.testing import CliRunner

import pipeline
from pipeline.cli import app
from pipeline.config import JobConfig
from pipeline.errors import ContractError

Job = Callable[..., JobConfig]


def called(*arguments: object, code: int) -> str:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.output


STORES = {
    "ragged": write_store,
    "grouped 3": lambda path, mels: make_grouped(path, mels, chunk=64),
    "grouped 2": lambda path, mels: make_grouped(path, mels, zarr_format=2, frames_first=True, chunk=64),
    "padded": lambda path, mels: make_padded(path, mels),
}


@pytest.mark.parametrize("layout", STORES)
def test_a_run_makes_the_good_and_names_the_bad_in_every_layout(layout: str, job: Job, tmp_path: Path) -> None:
    mels, bad = corpus("log10 instead of ln", 12, 2)
    STORES[layout](tmp_path / "s.zarr", mels)
    settings = {"input__store": str(tmp_path / "s.zarr"), "input__mel": "hifigan-22k", "quality__max_failure_rate": 0.5}
    note = pipeline.plan(job(**settings)).unverified
    assert note is not None
    assert "2 of 12 utterances that were looked at do not fit the mel contract" in note
    assert all(key in note for key in bad)
    assert pipeline.run(job(**settings)).totals.failed == 2
    out = tmp_path / "audio"
    failures = rows(out, "failures.jsonl")
    assert quarantined(failures) == bad
    for failure in failures:
        assert failure["error"] == "BadMelError"
        assert "do not fit the mel contract of the store" in failure["reason"]
        assert "It looks like pwg-22k" in failure["reason"]
    assert_whole(out, 12, failed=2)
    assert pipeline.run(job(**settings)).run_id == ""


def test_windows_change_neither_the_verdict_nor_the_samples(job: Job, tmp_path: Path) -> None:
    mels, bad = corpus("scaled to 0 .. 1", 8, 1)
    store = str(write_store(tmp_path / "s.zarr", mels))
    found = []
    for window in (16, 37, 512):
        out = tmp_path / f"out-{window}"
        config = {"input__store": store, "output__url": str(out), "vocoder__window": window}
        pipeline.run(job(**config, quality__max_failure_rate=0.5))
        found.append(digests(out))
        assert [row["reason"] for row in rows(out, "failures.jsonl")] == [
            row["reason"] for row in rows(tmp_path / "out-16", "failures.jsonl")
        ]
        assert quarantined(rows(out, "failures.jsonl")) == bad
    assert found[0] == found[1] == found[2]
    assert found[0].keys() == mels.keys() - bad


def test_who_says_that_the_contract_is_right_gets_all_of_them(job: Job, tmp_path: Path) -> None:
    mels, _ = corpus("scaled to 0 .. 1", 8, 1)
    settings = {"input__store": str(write_store(tmp_path / "s.zarr", mels)), "quality__max_failure_rate": 0.5}
    assert pipeline.run(job(**settings)).totals.failed == 1
    report = pipeline.run(job(**settings, input__check_values=False), retry=True)
    assert (report.totals.failed, report.totals.utterances) == (0, 8)


@pytest.mark.parametrize("way", [way for way in WAYS if way not in UNSEEN | {"NaN", "infinity"}])
def test_most_of_another_contract_are_refused_before_any_work(way: str, job: Job, tmp_path: Path) -> None:
    mels, _ = corpus(way, 10, 7)
    store = write_store(tmp_path / "s.zarr", mels)
    for work in (pipeline.plan, pipeline.run):
        with pytest.raises(ContractError, match="contradict the mel contract that is stated for them"):
            work(job(input__store=str(store)))
    assert not (tmp_path / "audio").exists()
    printed = called("inspect", store, code=4)
    assert "contradiction: " in printed
    assert "misfit" not in printed


def test_inspect_agrees_with_the_run(job: Job, tmp_path: Path) -> None:
    """Bad ones are named, and are in neither the verdict nor the range of values."""
    mels, bad = corpus("decibels instead of ln", 20, 2)
    (key,) = corpus("x 32768", 20, 1)[1] - bad
    mels[key] = corpus("x 32768", 20, 1)[0][key]
    store = write_store(tmp_path / "s.zarr", mels)
    printed = called("inspect", store, code=3)
    assert "contradiction" not in printed
    assert "in 17 utterances" in printed
    assert "; 0 values are outside" in printed
    report = json.loads(called("inspect", store, "--json", code=3))
    assert set(report["misfits"]) | set(report["unreadable"]) == bad | {key}
    good = [mel for each, mel in mels.items() if each not in bad | {key}]
    assert report["value_min"] == min(float(mel.min()) for mel in good)
    assert report["value_max"] == max(float(mel.max()) for mel in good)
    assert report["looks"]["values"]["lowest"] >= SPEC.stored_floor() - 0.01
    assert "hifigan-22k" in report["looks"]["fits"]
    pipeline.run(job(input__store=str(store), quality__max_failure_rate=1))
    assert quarantined(rows(tmp_path / "audio", "failures.jsonl")) == bad | {key}


def test_the_command_line_ends_with_3_for_a_few_and_4_for_most(vocoder_path: Path, tmp_path: Path) -> None:
    def run(bad: int, code: int) -> str:
        store = write_store(tmp_path / f"{bad}.zarr", corpus("without logarithm", 10, bad)[0])
        return called(
            "run", "--store", store, "--out", tmp_path / f"{bad}", "--vocoder", vocoder_path,
            "--scheduler", "synchronous", "--set", "quality.max_failure_rate=0.2", code=code,
        )  # fmt: skip

    assert "1 utterance failed" in run(1, code=3)
    run(9, code=4)
