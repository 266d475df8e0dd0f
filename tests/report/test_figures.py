"""Histograms, shares and samples over all rows, held against the obvious way to compute them."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.report.choosing import first_of, table_rows, worth_a_look
from pipeline.report.coded_column import CodedColumn
from pipeline.report.figures import FIGURES, bin_edges, histogram
from pipeline.report.manifest_scan import ScannedManifest
from pipeline.report.metadata_by_field import MetadataByField
from pipeline.report.shares import shares_of
from pipeline.report.text_counts import TextCounts

RATE = next(figure for figure in FIGURES if figure.field == "characters_per_second")


def scanned(rows: int, speakers: int = 3, most: int = 100) -> ScannedManifest:
    """A manifest of made-up figures."""
    rng = np.random.default_rng(rows)
    column, empty = CodedColumn(most), CodedColumn(most)
    for row in range(rows):
        column.add(f"s{row % speakers}")
        empty.add("")
    numbers = np.arange(rows)
    figures = {figure.field: rng.normal(0, 1, rows) for figure in FIGURES}
    figures["duration"] = rng.uniform(1, 9, rows)
    figures["loudness"][:] = np.nan
    return ScannedManifest(
        figures, column, empty, empty, numbers, numbers, numbers.astype(np.uint64), numbers, {22050: rows}, 0,
        MetadataByField(), TextCounts(), "",
    )  # fmt: skip


@example(-1e-05, 5001.0, 1)
@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(1, 60))
def test_edges_cover_the_range_with_few_bins_of_one_width(low: float, spread: float, most: int) -> None:
    edges = bin_edges(low, low + spread, most)
    width = np.diff(edges)
    slack = 1e-6 * max(abs(low), 1, width[0])  # outer bins hold what lies beyond, too
    assert edges[0] <= low + slack
    assert edges[-1] >= low + spread - slack
    assert 1 <= len(width) <= most + 2
    assert (width > 0).all()


@given(st.lists(st.floats(-1e4, 1e4) | st.just(np.nan), max_size=200))
def test_a_histogram_counts_every_row_that_was_measured(values: list[float]) -> None:
    column = np.array(values, np.float64)
    found, measured = histogram(RATE, column), column[~np.isnan(column)]
    if not len(measured):
        assert found is None
        return
    assert found is not None
    assert (sum(found.counts), found.missing) == (len(measured), len(column) - len(measured))
    assert (found.minimum, found.maximum) == (measured.min(), measured.max())
    inner = [
        ((measured >= a) & (measured < b)).sum() for a, b in zip(found.edges[1:-2], found.edges[2:-1], strict=True)
    ]
    assert list(found.counts[1:-1]) == inner


def test_shares_add_up_to_all_rows_also_where_there_are_too_many_values() -> None:
    scan = scanned(1000, speakers=300, most=80)
    shares = shares_of("speaker", "Speaker", scan.speakers, scan)
    assert shares.rest is not None
    assert (shares.total_values, shares.rest.values) == (None, None)
    assert sum(value.utterances for value in shares.values) + shares.rest.utterances == 1000
    seconds = sum(value.seconds for value in shares.values) + shares.rest.seconds
    assert seconds == pytest.approx(scan.figures["duration"].sum())


def test_a_table_of_some_rows_has_both_ends_of_each_figure_and_each_speaker() -> None:
    scan = scanned(50_000, speakers=40)
    always = np.array([17, 18], np.int64)
    chosen = set(table_rows(scan, 2000, always, seed=0).tolist())
    assert len(chosen) == 2000
    assert {17, 18} <= chosen
    for figure in FIGURES:
        values = scan.figures[figure.field]
        if not np.isnan(values).all():
            assert {int(values.argmin()), int(values.argmax())} <= chosen, figure.field
    assert {scan.speakers.codes()[row] for row in chosen} == set(range(40))
    assert chosen == set(table_rows(scan, 2000, always, seed=0).tolist())
    assert chosen != set(table_rows(scan, 2000, always, seed=1).tolist())


def test_a_small_table_has_all_rows() -> None:
    assert table_rows(scanned(100), 100, np.zeros(0, np.int64), seed=0).tolist() == list(range(100))


def test_more_speakers_than_rows_of_the_table_leave_room_for_the_others() -> None:
    chosen = table_rows(scanned(5000, speakers=4000, most=10_000), 200, np.zeros(0, np.int64), seed=0)
    assert len(chosen) == 200
    assert first_of([chosen, chosen], 500).tolist() == chosen.tolist()


def test_rows_that_were_not_measured_are_in_no_list() -> None:
    scan = scanned(30)
    scan.figures["mel_distance"][:] = np.nan
    scan.figures["clipped"][:] = 0
    scan.figures["rms_dbfs"][4] = -200
    scan.figures["characters_per_second"][:] = np.nan
    lists = {each.id: each.rows for each in worth_a_look(scan, 5, seed=0)}
    assert set(lists) == {"loud", "quiet", "random"}
    assert lists["quiet"][0] == 4


def test_texts_are_counted_by_character_and_word() -> None:
    counts = TextCounts()
    counts.add(["ab ba ab", "😀"])
    counts.add(["ab"])
    shown = counts.shown()
    assert shown is not None
    assert (shown.utterances, shown.words, shown.characters, shown.vocabulary, shown.seldom) == (3, 5, 11, 3, 2)
    assert shown.alphabet[0] == ("a", 4) or shown.alphabet[0] == ("b", 4)
    assert shown.frequent[0] == ("ab", 3)
    assert TextCounts().shown() is None


def test_metadata_is_counted_by_field_and_mixed_types_are_told() -> None:
    fields = MetadataByField()
    for number in range(2000):
        fields.add({"speaker": number % 3 if number % 2 else "s", "id": number, "empty": "", "none": None})
    fields.add({"late": [1]})
    shown = {each.field: each for each in fields.shown({"fields": {"id": "integer"}}).fields}
    assert set(shown) == {"speaker", "id", "late"}
    assert shown["speaker"].types == {"text": 1000, "integer": 1000}
    assert (shown["speaker"].present, shown["speaker"].values) == (2000, 4)
    assert (shown["id"].type, shown["id"].values, len(shown["id"].examples)) == ("integer", None, 5)
    assert shown["late"].examples == ("[1]",)
    assert [name for name, _ in fields.categories()] == ["late", "speaker"]
