"""The recipes of configs/schedules run, and what they rely on holds."""

import ast
import configparser
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus
from support.corpora import assert_whole, every_byte, rows
from support.recipes import RECIPES, mail_of, recipe, start_by_cron
from typer.testing import CliRunner

from pipeline import errors
from pipeline.audio import encode
from pipeline.cli import app
from pipeline.config import JobConfig
from pipeline.errors import MelmillError
from pipeline.events import Event, ShardCommitted
from pipeline.events.prometheus import GAUGES, MetricsFile
from pipeline.jobs import run as jobs
from pipeline.storage import LocalStorage

Build = Callable[..., JobConfig]


@pytest.fixture
def corpus(job: Build, tmp_path: Path) -> Path:
    """A folder with a job.yaml whose output is its `audio`."""
    (tmp_path / "job.yaml").write_text(job(output__url="audio").model_dump_json())
    return tmp_path


def figures(file: Path) -> dict[str, float]:
    """Name, with the stage where there is one -> value; both readers must give the same."""
    text = file.read_text()
    found = [
        {
            sample.name + sample.labels.get("stage", ""): sample.value
            for family in read(text)
            for sample in family.samples
        }
        for read in (prometheus, open_metrics)
    ]
    assert found[0] == found[1]
    return found[0]


def run_if_changed(corpus: Path, *more: object, code: int = 0) -> tuple[str, str]:
    """Standard output and error of `melmill run job.yaml --if-changed` in this process."""
    arguments = ["run", corpus / "job.yaml", "--out", corpus / "audio", "--if-changed", *more]
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr


def test_the_cron_line_makes_what_changed_and_mails_nothing_where_nothing_did(corpus: Path) -> None:
    code, mail = mail_of(start_by_cron(corpus))
    assert code == 0, mail
    assert "5 shards: new (000000-" in mail
    assert "x real time;" in mail
    assert "left" not in mail  # progress, which nobody reads in the morning
    made = figures(corpus / "melmill.prom")
    before = every_byte(corpus / "audio")
    assert mail_of(start_by_cron(corpus)) == (0, "")
    assert every_byte(corpus / "audio") == before
    again = figures(corpus / "melmill.prom")
    assert made["melmill_last_run_hours"] == pytest.approx(made["melmill_hours"])
    assert (again["melmill_last_run_hours"], again["melmill_utterances"]) == (0, made["melmill_utterances"])
    assert again["melmill_last_success_timestamp_seconds"] > made["melmill_last_success_timestamp_seconds"]


def test_of_two_starts_at_once_one_makes_everything_and_the_other_steps_back(corpus: Path) -> None:
    ends = [mail_of(each) for each in [start_by_cron(corpus), start_by_cron(corpus)]]
    assert sorted(code for code, _ in ends) in ([0, 0], [0, 5])
    (made,) = [mail for _, mail in ends if "24 utterances" in mail]
    assert "done in" in made
    (other,) = [(code, mail) for code, mail in ends if mail != made]
    assert other == (0, "") or (other[0] == 5 and "run " in other[1])
    assert_whole(corpus / "audio", 24)
    assert figures(corpus / "melmill.prom")["melmill_last_run_success"] == 1
    with LocalStorage(corpus / "audio").lock("run 7 on there"):
        before = every_byte(corpus)
        (corpus / "mels.zarr" / "zarr.json").touch()
        assert run_if_changed(corpus) == ("", "")  # there is nothing to do for it
        (corpus / "audio" / "manifest.jsonl").rename(corpus / "away")
        assert "run 7 on there" in run_if_changed(corpus, "--metrics", corpus / "melmill.prom", code=5)[1]
        (corpus / "away").rename(corpus / "audio" / "manifest.jsonl")
    assert {**every_byte(corpus), **{name: 0 for name in before if name.endswith(("lock", "zarr.json"))}} == {
        **before, **{name: 0 for name in before if name.endswith(("lock", "zarr.json"))}
    }  # fmt: skip


def test_the_service_of_systemd_runs_and_relies_on_the_exit_codes_that_there_are(corpus: Path) -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(recipe("melmill.service", corpus))
    service = unit["Service"]
    command = shlex.split(service["ExecStart"])
    done = subprocess.run(command, cwd=service["WorkingDirectory"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(json.loads(line)["run_id"] for line in done.stderr.splitlines())
    codes = {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, MelmillError)
    }
    final = set(map(int, service["RestartPreventExitStatus"].split()))
    assert int(service["SuccessExitStatus"]) == errors.UtteranceError.exit_code
    assert codes - final - {errors.UtteranceError.exit_code} == {
        errors.StorageError.exit_code, errors.InterruptedRunError.exit_code,
    }  # fmt: skip
    timer = configparser.ConfigParser()
    timer.read(RECIPES / "melmill.timer")
    assert timer["Timer"]["Persistent"] == "true"


@pytest.mark.parametrize("code", [3, 2])
def test_the_makefile_makes_what_comes_of_the_manifest_only_when_that_changed(corpus: Path, code: int) -> None:
    """Exit code 3 is good enough for it, another one stops it."""
    if code == 3:
        group = zarr.open_group(str(corpus / "mels.zarr"))
        group["mel"][:5] = np.full_like(group["mel"][:5], np.nan)
    settings = "--set quality.max_failure_rate=0.5" if code == 3 else "--set output.codec=mp3" if code == 2 else ""
    shutil.copy(RECIPES / "Makefile", corpus)
    (corpus / "melmill").write_text(
        f'#!/bin/sh\nexec {recipe("crontab", corpus).split("&& ")[1].split(" run ")[0]} "$@" {settings}\n'
    )
    (corpus / "melmill").chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", "MELMILL=./melmill"]

    def make() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=corpus, env=environment, capture_output=True, text=True, check=False)

    first = make()
    if code == 2:
        assert first.returncode == 2
        assert "output.codec" in first.stderr
        assert not (corpus / "keys.txt").exists()
        return
    assert first.returncode == 0, first.stderr
    assert "sed" in first.stdout
    assert (corpus / "keys.txt").read_text().split() == [row["key"] for row in rows(corpus / "audio")]
    again = make()
    assert (again.returncode, again.stderr) == (0, "")
    assert "sed" not in again.stdout


def test_the_dag_of_airflow_treats_each_exit_code_as_it_is_meant() -> None:
    """Its run by Airflow itself is told in the README: Airflow is too large for these tests."""
    source = (RECIPES / "airflow_dag.py").read_text()
    compile(source, "airflow_dag.py", "exec")
    found = {
        name: ast.literal_eval(value) for name, value in re.findall(r"^(DONE|OWNED|LATER) = ([\d(), ]+)", source, re.M)
    }
    assert found == {
        "DONE": (0, errors.UtteranceError.exit_code),
        "OWNED": errors.OwnedError.exit_code,
        "LATER": (errors.StorageError.exit_code, errors.InterruptedRunError.exit_code),
    }


def test_what_changed_is_said_and_what_was_quarantined_only_once(corpus: Path) -> None:
    lenient = ["--set", "quality.max_failure_rate=0.5"]
    group = zarr.open_group(str(corpus / "mels.zarr"))
    group["mel"][:5] = np.full_like(group["mel"][:5], np.nan)
    said, noted = run_if_changed(corpus, *lenient, code=3)
    assert "5 shards: new (000000-" in noted
    assert "1 utterance failed" in said
    assert run_if_changed(corpus, *lenient) == ("", "")
    assert run_if_changed(corpus, *lenient, "--log-json") == ("", "")
    assert "quality.max_failure_rate" in run_if_changed(corpus, code=7)[1]  # it is not good enough, until it is mended
    said, noted = run_if_changed(corpus, *lenient, "--codec", "wav", code=3)
    assert "5 shards: output tar flac PCM_16 -> tar wav PCM_16 (000000-" in noted
    (corpus / "audio" / "manifest.jsonl").unlink()
    said, noted = run_if_changed(corpus, *lenient, "--codec", "wav", code=3)
    assert "there is no shard to make; only the manifest is published" in noted


def test_the_figures_of_a_run_are_those_of_its_events(job: Build, tmp_path: Path) -> None:
    file, events = tmp_path / "melmill.prom", list[Event]()
    with MetricsFile(file, job().output.url) as metrics:

        def listen(event: Event) -> None:
            metrics(event)
            events.append(event)

        report = jobs.run(job(), listen)
    found = figures(file)
    stages = [event.stages for event in events if isinstance(event, ShardCommitted)]
    assert {name.split("stage_seconds")[0] for name in found} == {name.split("stage_seconds")[0] for name in GAUGES}
    for stage in ("read", "decode", "examine", "encode", "commit"):
        seconds = sum(getattr(each, stage) for each in stages)
        assert found[f"melmill_last_run_stage_seconds{stage}"] == pytest.approx(seconds)
        assert seconds > 0
    assert sum(sum(vars(each).values()) for each in stages) <= report.elapsed
    assert (found["melmill_utterances"], found["melmill_failures"], found["melmill_last_run_success"]) == (24, 0, 1)
    hours = pytest.approx(report.totals.seconds / 3600)
    assert (found["melmill_hours"], found["melmill_last_run_hours"]) == (hours, hours)
    assert found["melmill_last_run_times_real_time"] == pytest.approx(
        report.made_seconds / found["melmill_last_run_duration_seconds"]
    )
    assert f'output="{job().output.url}"' in file.read_text()
    assert file.stat().st_mode & 0o044  # the collector is another user


def test_a_run_that_fails_keeps_when_the_last_one_did_not(corpus: Path) -> None:
    file = corpus / "melmill.prom"
    run_if_changed(corpus, "--metrics", file)
    before = figures(file)
    run_if_changed(corpus, "--metrics", file, "--set", "input.mel=tacotron2-22k", code=4)
    after = figures(file)
    kept = ("last_success_timestamp_seconds", "utterances", "hours", "failures")
    assert {f"melmill_{name}" for name in kept} == {name for name in before if before[name] == after[name] != 0} | {
        "melmill_failures"
    }
    assert after["melmill_last_run_success"] == 0
    file.write_text("# nothing that is ours\n")
    run_if_changed(corpus, "--metrics", file, "--set", "input.mel=tacotron2-22k", code=4)
    assert "melmill_last_success_timestamp_seconds" not in figures(file)
    assert [path.name for path in corpus.iterdir() if "prom" in path.name] == [file.name]


def test_figures_that_cannot_be_written_are_told_before_the_work_where_that_can_be_known(corpus: Path) -> None:
    assert "must be a folder" in run_if_changed(corpus, "--metrics", corpus / "no" / "melmill.prom", code=2)[1]
    assert f"and {corpus.name} must not be a folder" in run_if_changed(corpus, "--metrics", corpus, code=2)[1]
    assert not (corpus / "audio").exists()


def test_every_line_of_the_log_has_its_run_and_its_shard(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What libraries log and warn of, defects and wrong job files too."""
    quantize = encode.quantize

    def strange(*arguments: Any) -> Any:
        warnings.warn("of a library", UserWarning, stacklevel=1)
        logging.getLogger("library").warning("a word of its own")
        return quantize(*arguments)

    monkeypatch.setattr(encode, "quantize", strange)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        lines = [json.loads(line) for line in run_if_changed(corpus, "--log-json")[1].splitlines()]
    (run_id,) = {line["run_id"] for line in lines}
    assert run_id == json.loads((corpus / "audio" / "job.json").read_text())["run_id"]
    shards = {
        name: {line["shard"] for line in lines if line["event"] == name} for name in {line["event"] for line in lines}
    }
    assert shards.keys() == {"RunStarted", "ShardStarted", "UtterancesMade", "ShardCommitted", "RunFinished", "Logged"}
    assert shards["RunStarted"] == shards["RunFinished"] == shards["Logged"] == {None}
    assert shards["ShardStarted"] == shards["UtterancesMade"] == shards["ShardCommitted"] == set(range(5))
    assert {line["logger"] for line in lines if line["event"] == "Logged"} == {"library", "py.warnings"}

    def defect(*_: Any) -> Any:
        raise LookupError("nobody knows")

    (line,) = run_if_changed(corpus, "--log-json", "--set", "output.codec=mp3", code=2)[1].splitlines()
    assert (json.loads(line)["event"], json.loads(line)["run_id"], json.loads(line)["exit_code"]) == (
        "RunFailed",
        "",
        2,
    )
    monkeypatch.setattr(encode, "quantize", defect)
    last = run_if_changed(corpus, "--log-json", "--codec", "wav", code=1)[1].splitlines()[-1]
    assert (json.loads(last)["error"], json.loads(last)["exit_code"]) == ("LookupError", 1)
    assert json.loads(last)["run_id"]
    assert "nobody knows" in json.loads(last)["message"]
