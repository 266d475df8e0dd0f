"""Jobs with vocoder.refine: another vocoder, both distances in the rows, and readers of rows without them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.corpora import assert_whole, rows

from pipeline.config import JobConfig
from pipeline.errors import ConfigError
from pipeline.jobs.run import plan, run
from pipeline.output.audit import verify
from pipeline.output.not_measured import NO_DISTANCE
from pipeline.output.records import Row
from pipeline.report.manifest_scan import row_figures
from pipeline.stores import open_store
from pipeline.views.options import ExportOptions
from pipeline.views.run import export
from pipeline.vocoders import decode_windows, load_vocoder

Build = Callable[..., JobConfig]
FIELD = "mel_distance_unrefined"


def out_of(config: JobConfig) -> Path:
    return Path(config.output.url)


def test_a_refined_job_writes_refined_audio_with_both_distances(job: Build) -> None:
    plain, config = (
        job(),
        job(vocoder__refine=2, output__codec="wav", output__subtype="FLOAT", output__container="files"),
    )
    run(plain)
    before = {row["key"]: row for row in rows(out_of(plain))}
    assert all(FIELD not in row for row in before.values())
    found = plan(config)
    assert found.describe()["refine"] == 2
    assert found.memory.worker > plan(plain).memory.worker
    (reason,) = found.reasons
    assert "the same net, not refined; --set vocoder.refine=0 keeps these shards" in reason.words
    run(config)
    assert_whole(out_of(config), 24)
    now = rows(out_of(config))
    assert [list(row)[-1] for row in now] == [FIELD] * 24
    for row in now:
        assert row[FIELD] == pytest.approx(before[row["key"]]["mel_distance"], rel=1e-6)
        assert 0 < row["mel_distance"] < 0.7 * row[FIELD]
        assert Row.from_dict(row).mel_distance_unrefined == row[FIELD]
    store = open_store(config.input.store)
    utterance = store.catalogue()[0]
    mel = store.read(utterance, 0, utterance.frames)
    vocoder = load_vocoder(config.vocoder.name, refine=2)
    wanted = np.concatenate(list(decode_windows(vocoder, lambda a, b: mel[:, a:b], mel.shape[1])))
    (row,) = (row for row in now if row["key"] == utterance.key)
    written, _ = soundfile.read(out_of(config) / row["shard"] / row["member"], dtype="float32")
    np.testing.assert_array_equal(written, wanted)
    assert plan(config).todo == ()
    assert verify(str(out_of(config))).exit_code == 0
    assert json.loads((out_of(config) / "job.json").read_text())["job"]["vocoder"]["refine"] == 2


def test_windows_threads_and_workers_make_the_same_refined_shards(job: Build, tmp_path: Path) -> None:
    settings = {
        "whole": {},
        "windows": {"vocoder__window": 32},
        "workers": {"vocoder__window": 100, "cluster__kind": "local", "cluster__workers": 1},
    }
    made = {}
    for name, more in settings.items():
        run(job(vocoder__refine=1, output__url=str(tmp_path / name), **more))
        made[name] = [(row["pcm_sha256"], row["mel_distance"], row[FIELD]) for row in rows(tmp_path / name)]
    assert made["whole"] == made["windows"] == made["workers"]


@pytest.mark.parametrize("refine", [0, 1])
def test_exports_have_the_column_if_the_rows_have_it(job: Build, tmp_path: Path, refine: int) -> None:
    config = job(vocoder__refine=refine)
    run(config)
    export(str(out_of(config)), str(tmp_path / "lists"), ExportOptions("audiofolder", audio=True))
    told = [json.loads(line) for line in (tmp_path / "lists" / "train" / "metadata.jsonl").read_text().splitlines()]
    assert [each.get(FIELD) for each in told] == [row.get(FIELD) for row in rows(out_of(config))]
    assert {FIELD in each for each in told} == {FIELD in (tmp_path / "lists" / "README.md").read_text()}
    assert {FIELD in each for each in told} == {refine > 0}


def test_what_was_not_measured_is_a_number_and_nothing_else_changes(job: Build) -> None:
    config = job(vocoder__refine=1, quality__mel_distance=False)
    run(config)
    assert (
        {row[FIELD] for row in rows(out_of(config))}
        == {NO_DISTANCE}
        == {row["mel_distance"] for row in rows(out_of(config))}
    )
    figures = row_figures(dict(rows(out_of(config))[0], text="", mel_distance=None, mel_distance_relative=None))
    assert np.isnan(figures[5])


def test_a_vocoder_that_iterates_itself_is_refused_before_any_work(job: Build) -> None:
    for name in ("lift", "griffin-lim"):
        config = job(vocoder__name=name, vocoder__refine=1)
        with pytest.raises(ConfigError, match=rf"vocoder\.refine: {name} cannot be refined: its own iterations"):
            run(config)
        assert not out_of(config).exists()
