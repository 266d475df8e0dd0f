"""The report that compares two outputs matches their utterances by key, and gives away nothing by names."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.corpora import rows
from support.reports import content_of, page_of

from pipeline.config import JobConfig
from pipeline.errors import ConfigError
from pipeline.jobs.run import run
from pipeline.report import ReportOptions, write_comparison

Build = Callable[..., JobConfig]


@pytest.fixture(scope="session")
def beside(made: Path, other: str) -> Path:
    """The output `other`, of the same store and the other vocoder, in WAV."""
    run(
        JobConfig.build(
            {
                "input": {"store": str(made / "mels.zarr")},
                "vocoder": {"name": other},
                "output": {"url": str(made / "other"), "codec": "wav", "shard_seconds": 1000},
                "cluster": {"kind": "synchronous"},
                "quality": {"max_failure_rate": 0.1},
            }
        )
    )
    return made / "other"


@pytest.fixture(scope="session")
def compared(made: Path, beside: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared") / "report"
    written = write_comparison(str(made / "audio"), str(beside), folder, wanted=ReportOptions(rows="all"))
    assert written.text.startswith("22 utterances are in both outputs; 0 only in A, 0 only in B.")
    return folder


def by_key(output: Path) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in rows(output)}


def test_each_figure_of_an_utterance_is_that_of_its_rows(compared: Path, made: Path, beside: Path) -> None:
    page, a, b = page_of(compared), by_key(made / "audio"), by_key(beside)
    columns = page["rows"]["columns"]
    assert sorted(columns["key"]) == sorted(a) == sorted(b)
    for at, key in enumerate(columns["key"]):
        for field in ("mel_distance", "rms_dbfs", "duration"):
            assert columns[f"a_{field}"][at] == round(a[key][field], 4)
            assert columns[f"b_{field}"][at] == round(b[key][field], 4)
        assert columns["same"][at] == (a[key]["pcm_sha256"] == b[key]["pcm_sha256"])
    change = np.abs(np.array(columns["a_mel_distance"]) - columns["b_mel_distance"])
    assert (np.diff(change) <= 1e-3).all()  # those that changed most come first
    chunk = json.loads(content_of(compared, page["rows"]["chunks"][0]["file"]))
    assert sorted(chunk["key"]) == sorted(columns["key"])


def test_the_figures_say_which_output_is_nearer_to_its_mels(compared: Path, made: Path, beside: Path) -> None:
    page, a, b = page_of(compared), by_key(made / "audio"), by_key(beside)
    field = next(each for each in page["fields"] if each["field"] == "mel_distance")
    differences = [b[key]["mel_distance"] - a[key]["mel_distance"] for key in a]
    assert field["difference_median"] == pytest.approx(np.median(differences))
    assert field["a_better"] == sum(each > 0 for each in differences)
    assert (field["a_better"] + field["b_better"] + field["same"], sum(field["counts"])) == (22, 22)
    level = next(each for each in page["fields"] if each["field"] == "rms_dbfs")
    assert (level["better"], level["a_better"]) == (None, None)


def test_both_clips_have_neutral_names_and_the_bytes_of_their_outputs(compared: Path, made: Path, beside: Path) -> None:
    page, a, b = page_of(compared), by_key(made / "audio"), by_key(beside)
    order = []
    for clip, each in enumerate(page["clips"]):
        names = [each[side]["file"].rpartition(".")[0] for side in "ab"]
        assert sorted(names) == [f"clips/{clip:04d}-1", f"clips/{clip:04d}-2"]
        order.append(names[0].endswith("-1"))
        for side, output, row in (("a", made / "audio", a), ("b", beside, b)):
            wanted = row[each["row"]["key"]]
            with open(output / wanted["shard"], "rb") as shard:
                shard.seek(wanted["offset"])
                assert (compared / each[side]["file"]).read_bytes() == shard.read(wanted["bytes"])
    assert 0 < sum(order) < len(order)


def test_what_only_one_has_and_what_is_the_same_is_counted(
    output: Path, made: Path, beside: Path, tmp_path: Path
) -> None:
    lines = (output / "manifest.jsonl").read_text().splitlines(keepends=True)
    (output / "manifest.jsonl").write_text("".join(lines[3:]))
    copy = Path(shutil.copytree(made / "audio", tmp_path / "copy"))
    page = page_of(write_comparison(str(output), str(copy), tmp_path / "report").folder)
    assert (page["matched"], page["same"], page["texts_changed"]) == (19, 19, 0)
    assert page["only_in_a"] == {"count": 0, "keys": []}
    assert page["only_in_b"] == {"count": 3, "keys": [json.loads(line)["key"] for line in lines[:3]]}
    assert "All samples are the same in both." in page["notes"]
    assert [each["id"] for each in page["lists"]] == ["random"]
    other = page_of(write_comparison(str(output), str(beside), tmp_path / "report").folder)
    assert other["texts_changed"] == sum(bool(json.loads(line)["text"]) for line in lines[3:])


def test_a_manifest_of_other_order_gives_the_same_comparison(
    output: Path, beside: Path, made: Path, tmp_path: Path
) -> None:
    lines = (output / "manifest.jsonl").read_text().splitlines(keepends=True)
    (output / "manifest.jsonl").write_text("".join(reversed(lines)))
    one = page_of(write_comparison(str(output), str(beside), tmp_path / "one").folder)
    other = page_of(write_comparison(str(made / "audio"), str(beside), tmp_path / "other").folder)
    assert one["fields"] == other["fields"]
    assert one["rows"]["columns"]["key"] == other["rows"]["columns"]["key"]


def test_outputs_without_a_common_utterance_are_refused(
    hostile: tuple[Path, list[dict[str, Any]]], made: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="have no utterance in common"):
        write_comparison(str(hostile[0]), str(made / "audio"), tmp_path / "report")
