"""Reports of more rows than a page holds."""

import shutil
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import expect
from support.report_data import enlarge


def test_the_page_says_what_it_leaves_out_and_loads_it_when_asked(open_page: Any, in_chunks: Path) -> None:
    opened = open_page(in_chunks)
    assert opened.total() == "5 utterances"
    expect(opened.page.locator(".left-out")).to_contain_text("5 of 22 rows")
    opened.page.get_by_role("searchbox").fill("vm")
    opened.button("Load all 22 rows").click()
    expect(opened.page.locator(".left-out")).to_contain_text("All rows are loaded.")
    expect(opened.page.locator(".total")).to_contain_text("of 22 utterances")
    opened.button("Show all", ".chips").click()
    assert opened.total() == "22 utterances"


def test_rows_that_are_gone_are_named_and_the_page_stays(open_page: Any, in_chunks: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(in_chunks, tmp_path / "report")
    shutil.rmtree(folder / "rows")
    opened = open_page(folder)
    opened.button("Load all 22 rows").click()
    expect(opened.page.locator(".left-out")).to_contain_text("Not all rows could be loaded: rows/0000.js is missing")
    assert opened.total() == "5 utterances"
    opened.complaints.clear()


def test_a_page_of_a_million_rows_is_small_and_draws_no_more_than_it_shows(
    open_page: Any, report: Path, tmp_path: Path
) -> None:
    folder = enlarge(1_000_000, shutil.copytree(report, tmp_path / "report"), files=False)
    assert (folder / "index.html").stat().st_size < 5_000_000
    begin = time.monotonic()
    opened = open_page(folder)
    opened.page.locator(".scroller tbody .key").first.wait_for()
    print(f"a page of a million rows opened in {time.monotonic() - begin:.2f} s")
    assert len(opened.keys()) < 60
    expect(opened.button("Load all 1,000,000 rows")).to_be_visible()


def test_a_table_taller_than_browsers_can_show_is_searched_and_read_to_its_end(
    open_page: Any, report: Path, tmp_path: Path
) -> None:
    opened = open_page(enlarge(400_000, shutil.copytree(report, tmp_path / "report")))
    opened.button("Load all 400,000 rows").click()
    expect(opened.page.locator(".total")).to_have_text("400,000 utterances", timeout=60_000)
    opened.page.get_by_role("searchbox").fill("utterance-0399999")
    expect(opened.page.locator(".total")).to_have_text("1 of 400,000 utterances", timeout=20_000)
    opened.button("Show all", ".chips").click()
    expect(opened.page.locator(".total")).to_have_text("400,000 utterances", timeout=20_000)
    opened.page.locator('.scroller tr[tabindex="0"]').focus()
    opened.page.keyboard.press("End")
    assert opened.keys()[-1] == "utterance-0399999"
    assert len(opened.keys()) < 60
