"""The verdict is as bad as the worst of the checks."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report.test_figures import scanned

from pipeline.output.ledger import Ledger
from pipeline.output.publication import Publication
from pipeline.output.records import StoredObject
from pipeline.output.totals import Totals
from pipeline.report.manifest_scan import ScannedManifest
from pipeline.report.page_data.page import QualityCheck
from pipeline.report.published_output import PublishedOutput
from pipeline.report.quality_checks import Checked, quality_checks, verdict
from pipeline.storage import LocalStorage
from pipeline.storage.ranges import Ranges

ROWS = 100
MANIFEST = StoredObject("manifest.jsonl", 1, "")


def good() -> ScannedManifest:
    """A manifest with which nothing is wrong."""
    scan = scanned(ROWS)
    for field, value in (
        ("rms_dbfs", -20), ("mel_distance", 0.1), ("mel_distance_relative", 0.12), ("clipped", 0),
        ("over_full_scale", 0), ("characters_per_second", 14), ("peak_dbfs", -3),
    ):  # fmt: skip
        scan.figures[field][:] = value
    return scan


def checks(
    tmp_path: Path, scan: ScannedManifest, failed: int = 0, notes: tuple[str, ...] = (), **publication: Any
) -> dict[str, QualityCheck]:
    published = Publication("run", 1, {}, True, (), (MANIFEST,), Totals(ROWS, failed, 1.0))
    storage = LocalStorage(tmp_path)
    output = PublishedOutput(
        storage,
        Ledger(storage),
        Ranges(str(tmp_path), {}),
        {"job": {"quality": {"max_failure_rate": 0.02, "max_clipped_rate": 0.5}}},
        None if publication.get("lost") else dataclasses.replace(published, **publication),
    )
    return {each.id: each for each in quality_checks(Checked(output, scan, failed, notes))}


def test_an_output_with_which_nothing_is_wrong_is_good(tmp_path: Path) -> None:
    found = checks(tmp_path, good())
    assert {each.level for each in found.values()} == {"good"}
    words = verdict(tuple(found.values()), ROWS, 0)
    assert (words.level, words.text) == ("good", "100 of 100 utterances were made, and no check found anything wrong.")


@pytest.mark.parametrize(
    ("field", "rows", "value", "id_", "level", "finding"),
    [
        ("mel_distance_relative", slice(0, 1), 0.7, "mel_distance", "look", "1 utterance far from its mel"),
        ("mel_distance_relative", slice(None), 0.7, "mel_distance", "bad", "audio that does not match its mels"),
        ("mel_distance_relative", slice(None), np.nan, "mel_distance", "unknown", ""),
        ("clipped", slice(0, 2), 9, "clipping", "look", "2 clipped utterances"),
        ("clipped", slice(None), 1e6, "clipping", "bad", "100 clipped utterances"),
        ("over_full_scale", slice(0, 1), 3, "clipping", "look", "1 utterance over full scale"),
        ("rms_dbfs", slice(0, 1), -200, "silence", "look", "1 silent utterance"),
        ("duration", slice(0, 3), 0.05, "short", "look", "3 very short utterances"),
        ("characters_per_second", slice(0, 4), np.nan, "texts", "look", "4 missing texts"),
        ("characters_per_second", slice(0, 1), 90, "fast", "look", "1 very fast utterance"),
        ("characters_per_second", slice(0, 2), 1, "slow", "look", "2 very slow utterances"),
    ],
)  # fmt: skip
def test_each_figure_that_is_wrong_is_found(
    tmp_path: Path, field: str, rows: slice, value: float, id_: str, level: str, finding: str
) -> None:
    scan = good()
    scan.figures[field][rows] = value
    found = checks(tmp_path, scan)
    assert (found[id_].level, found[id_].finding) == (level, finding)
    assert [each.id for each in found.values() if each.level != "good"] == [id_]
    if (chosen := found[id_].filter) is not None and chosen.values is None:
        column = scan.figures[chosen.column]
        fits = (column >= (chosen.minimum or -np.inf)) & (
            column <= (np.inf if chosen.maximum is None else chosen.maximum)
        )
        assert fits.sum() == len(column[rows])


def test_failures_are_bad_only_above_the_limit_of_the_job(tmp_path: Path) -> None:
    assert checks(tmp_path, good(), failed=1)["failures"].level == "look"
    found = checks(tmp_path, good(), failed=5)
    assert found["failures"].level == "bad"
    assert "more than quality.max_failure_rate, 2.0%" in found["failures"].text
    text = verdict(tuple(found.values()), ROWS, 5).text
    assert text == "100 of 105 utterances were made; something is wrong: 5 failures."


@pytest.mark.parametrize(
    ("publication", "level"),
    [
        ({"lost": True}, "look"),
        ({"complete": False}, "bad"),
        ({"due": "verify found damage"}, "bad"),
        ({"files": (dataclasses.replace(MANIFEST, sha256="other"),)}, "bad"),
        ({}, "good"),
    ],
)
def test_what_was_published_is_checked(tmp_path: Path, publication: dict[str, Any], level: str) -> None:
    assert checks(tmp_path, good(), **publication)["publication"].level == level


def test_duplicates_sample_rates_and_mixed_types_deserve_a_look(tmp_path: Path) -> None:
    scan = good()
    scan.pcm[:3] = 1000
    found = checks(tmp_path, dataclasses.replace(scan, sample_rates={22050: 99, 16000: 1}), notes=("a is mixed",))
    assert [found[each].finding for each in ("twice", "sample_rate", "types")] == [
        "2 duplicates", "2 sample rates", "1 mixed type",
    ]  # fmt: skip
    words = verdict(tuple(found.values()), ROWS, 0).text
    assert words.endswith("have a look at 2 duplicates, 2 sample rates and 1 mixed type.")


def test_silent_utterances_are_no_duplicates(tmp_path: Path) -> None:
    scan = good()
    scan.pcm[:3] = 1000
    scan.figures["rms_dbfs"][:3] = -200
    assert "twice" not in checks(tmp_path, scan)
