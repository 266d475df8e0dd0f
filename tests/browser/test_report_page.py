"""The page of one output: what it shows first, what it plays, and how its table is narrowed and sorted."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from support.corpora import rows
from support.report_data import change
from support.reports import page_of


def test_the_first_screen_says_what_was_made_and_whether_it_is_good(open_page: Any, report: Path) -> None:
    opened, data = open_page(report), page_of(report)
    first = opened.page.locator("#overview")
    expect(first.locator("h1")).to_have_text("lift")
    expect(first.locator(".verdict")).to_contain_text(data["verdict"]["text"])
    expect(first.locator("dl.big")).to_contain_text("22")
    assert first.locator(".checks li").count() == len(data["checks"])
    for mark in first.locator(".mark").all():
        assert mark.get_attribute("aria-label") in ("good", "worth a look", "bad", "not known")
    box = first.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 800


def test_a_check_shows_the_rows_that_it_is_about(open_page: Any, report: Path) -> None:
    opened, data = open_page(report), page_of(report)
    check = next(each for each in data["checks"] if each["filter"] is not None)
    opened.page.locator(".checks li", has_text=check["text"]).get_by_role("button", name="Show them").click()
    assert opened.total() != "22 utterances"
    expect(opened.page.locator(".scroller")).to_be_in_viewport()


def test_a_clip_plays_pauses_and_is_sought_in_its_picture(open_page: Any, report: Path) -> None:
    opened = open_page(report)
    opened.button("▶ Play", ".chosen").click()
    opened.plays_on(0.2)
    opened.button("❚❚ Pause", ".chosen").click()
    expect(opened.button("▶ Play", ".chosen")).to_be_visible()
    duration = page_of(report)["clips"][0]["row"]["duration"]
    opened.drag(opened.page.locator(".chosen .waveform"), 0.1, 0.5)
    assert opened.seconds() == pytest.approx(duration / 2, abs=0.1)
    opened.page.locator(".chosen .picture").last.click()
    assert opened.seconds() == pytest.approx(duration / 2, abs=0.1)


def test_one_clip_plays_at_a_time(open_page: Any, report: Path) -> None:
    opened = open_page(report)
    opened.button("▶ Play", ".chosen").click()
    opened.plays_on(0.1)
    opened.page.locator(".scroller button.play").nth(1).click()
    expect(opened.button("▶ Play", ".chosen")).to_be_visible()
    assert opened.page.locator(".scroller button.play", has_text="❚❚").count() == 1


def test_the_mels_that_came_in_and_of_the_audio_are_drawn_with_their_difference(open_page: Any, report: Path) -> None:
    opened = open_page(report)
    captions = opened.page.locator(".chosen .caption")
    expect(captions).to_have_text(["Mel that came in", "Mel of the audio", "Difference"])
    colours = opened.page.evaluate(
        """[...document.querySelectorAll('.chosen .mel canvas')].map(canvas => {
            const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            return new Set(new Uint32Array(data.buffer)).size;
        })"""
    )
    assert all(number > 50 for number in colours)


def test_lists_are_chosen_by_tabs_and_clips_by_arrows(open_page: Any, report: Path) -> None:
    opened, data = open_page(report), page_of(report)
    last = [each for each in data["lists"] if each["clips"]][-1]
    opened.page.get_by_role("tab", selected=True).focus()
    opened.page.keyboard.press("ArrowLeft")
    expect(opened.page.get_by_role("tab", selected=True)).to_have_text(last["label"])
    opened.page.locator(".clips button").first.focus()
    opened.page.keyboard.press("ArrowDown")
    expect(opened.page.locator(".chosen h3")).to_have_text(data["clips"][last["clips"][1]]["row"]["key"])
    opened.page.keyboard.press("Space")
    opened.plays_on(0)


def test_the_table_is_sorted_by_any_column_in_both_directions(open_page: Any, report: Path) -> None:
    opened = open_page(report)
    columns = page_of(report)["rows"]["columns"]
    heading = opened.page.locator(".scroller th", has_text="Mel distance")
    heading.get_by_role("button").click()
    assert opened.keys()[:9] == _sorted(columns, -1)[:9]
    assert heading.get_attribute("aria-sort") == "descending"
    heading.get_by_role("button").click()
    assert opened.keys()[:9] == _sorted(columns, 1)[:9]
    opened.page.locator(".scroller th", has_text="Speaker").get_by_role("button").click()
    assert opened.column("Speaker")[0] == min(columns["speaker"])


def _sorted(columns: dict[str, list[Any]], sign: int) -> list[str]:
    """Keys by mel distance; equal ones stay in the order of the manifest."""
    pairs = zip(columns["mel_distance"], columns["key"], strict=True)
    return [key for _, key in sorted(pairs, key=lambda pair: sign * float(pair[0]))]


def test_a_search_keeps_rows_with_every_word(open_page: Any, report: Path, prompts: Path) -> None:
    opened = open_page(report)
    opened.page.get_by_role("searchbox").fill("CARLO vm")
    wanted = {row["key"] for row in rows(prompts / "lift") if "Carlo" in row["key"] and "vm" in row["key"].lower()}
    expect(opened.page.locator(".total")).to_have_text(f"{len(wanted)} of 22 utterances")
    assert set(opened.keys()) == wanted


def test_dragging_over_a_histogram_narrows_the_table_and_the_other_histograms(open_page: Any, report: Path) -> None:
    opened = open_page(report)
    opened.drag(opened.page.locator(".histogram .u-over").first, 0.3, 0.6)
    low, high = (float(each.input_value()) for each in opened.page.locator(".histogram").first.locator("input").all())
    durations = [float(each) for each in opened.column("Duration")]
    assert 0 < len(durations) < 22
    assert all(low - 0.01 <= each <= high + 0.01 for each in durations)
    opened.page.locator(".chip").click()
    assert opened.total() == "22 utterances"


def test_a_click_on_one_bar_chooses_its_rows_and_again_after_another(open_page: Any, report: Path) -> None:
    opened, data = open_page(report), page_of(report)
    counts = data["histograms"][0]["counts"]
    over = opened.page.locator(".histogram .u-over").first
    for place in [at for at, count in enumerate(counts) if count][:2]:
        box = over.bounding_box()
        over.click(position={"x": (place + 0.5) * box["width"] / len(counts), "y": 60})
        expect(opened.page.locator(".total")).to_have_text(f"{counts[place]} of 22 utterances")


def test_a_range_is_given_by_keyboard(open_page: Any, report: Path, prompts: Path) -> None:
    opened = open_page(report)
    field = opened.page.get_by_label("Duration, from [s]")
    field.fill("3")
    field.press("Tab")
    wanted = sum(row["duration"] >= 3 for row in rows(prompts / "lift"))
    expect(opened.page.locator(".total")).to_have_text(f"{wanted} of 22 utterances")
    opened.page.get_by_role("button", name="Duration: any").click()
    assert opened.total() == "22 utterances"


def test_values_are_chosen_together_and_taken_back(open_page: Any, report: Path, prompts: Path) -> None:
    opened = open_page(report)
    languages = [row["meta"]["language"] for row in rows(prompts / "lift")]
    italian = opened.page.locator('.group button[data-value="it"]')
    italian.click()
    expect(opened.page.locator(".total")).to_have_text(f"{languages.count('it')} of 22 utterances")
    opened.page.locator('.group button[data-value="fr"]').click()
    both = languages.count("it") + languages.count("fr")
    expect(opened.page.locator(".total")).to_have_text(f"{both} of 22 utterances")
    assert italian.get_attribute("aria-pressed") == "true"
    opened.button("Show all", ".chips").click()
    assert opened.total() == "22 utterances"


def test_a_row_is_opened_and_its_neighbours_reached_by_keyboard(open_page: Any, report: Path) -> None:
    opened = open_page(report)
    keys = opened.keys()
    opened.page.locator('.scroller tr[tabindex="0"]').focus()
    opened.page.keyboard.press("ArrowDown")
    opened.page.keyboard.press("Enter")
    window = opened.page.get_by_role("dialog")
    expect(window.locator("h3")).to_have_text(keys[1])
    opened.page.keyboard.press("j")
    expect(window.locator("h3")).to_have_text(keys[2])
    opened.page.keyboard.press("k")
    opened.page.keyboard.press("k")
    expect(window.locator("h3")).to_have_text(keys[0])
    opened.page.keyboard.press("Escape")
    expect(window).to_have_count(0)


def test_columns_are_chosen(open_page: Any, report: Path) -> None:
    opened = open_page(report)
    opened.page.get_by_text("Columns", exact=True).click()
    opened.page.get_by_label("session").check()
    assert set(opened.column("session")) == {"0", "1", "2"}


def test_a_click_on_a_word_shows_the_utterances_with_it(open_page: Any, report: Path, prompts: Path) -> None:
    opened = open_page(report)
    opened.page.locator("#texts").get_by_role("button", name="sorry.").click()
    wanted = {row["key"] for row in rows(prompts / "lift") if "sorry." in row["meta"].get("text", "")}
    expect(opened.page.locator(".total")).to_have_text(f"{len(wanted)} of 22 utterances")
    assert set(opened.keys()) == wanted


def test_failures_superseded_shards_and_runs_are_shown(open_page: Any, report: Path, prompts: Path) -> None:
    opened, data = open_page(report), page_of(report)
    failed = rows(prompts / "lift", "failures.jsonl")
    assert len(failed) == 2
    expect(opened.page.locator("#failures h3")).to_contain_text("2 utterances")
    expect(opened.page.locator("#failures")).to_contain_text(data["failures"][0]["what_to_do"])
    opened.page.locator("#failures summary").click()
    for failure in failed:
        expect(opened.page.locator("#failures .examples")).to_contain_text(failure["key"])
    expect(opened.page.locator("#changes")).to_contain_text("melmill gc")
    expect(opened.page.locator("#run")).to_contain_text("times real time")


def test_code_is_copied(open_page: Any, report: Path) -> None:
    opened, data = open_page(report), page_of(report)
    opened.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened.page.locator("#load .copy").first.click()
    expect(opened.page.locator("#load .copy").first).to_have_text("Copied")
    assert opened.page.evaluate("navigator.clipboard.readText()") == data["snippets"][0]["code"]


def test_the_theme_is_chosen_and_kept(open_page: Any, report: Path) -> None:
    opened = open_page(report)
    background = "getComputedStyle(document.body).backgroundColor"
    light = opened.page.evaluate(background)
    opened.button("Auto").click()
    opened.button("Light").click()
    assert opened.page.evaluate(background) != light
    opened.page.reload()
    expect(opened.button("Dark")).to_be_visible()
    assert opened.page.evaluate(background) != light


def test_a_clip_that_is_gone_is_named(open_page: Any, report: Path, tmp_path: Path) -> None:
    page = (report / "index.html").read_text().replace('clips/0000.flac"', 'clips/gone.flac"')
    (tmp_path / "index.html").write_text(page)
    opened = open_page(tmp_path)
    opened.button("▶ Play", ".chosen").click()
    expect(opened.page.locator(".chosen .problem")).to_contain_text("its file is missing")
    expect(opened.page.locator(".chosen")).to_contain_text("The mels cannot be shown: clips/0000.js is missing")
    opened.complaints.clear()


def test_data_of_another_version_are_refused(open_page: Any, report: Path, tmp_path: Path) -> None:
    page = (report / "index.html").read_text().replace('{"format":1,', '{"format":2,')
    (tmp_path / "index.html").write_text(page)
    assert "Make the report again" in open_page(tmp_path).page.locator("main").inner_text()


def test_where_a_server_has_the_audio_every_row_is_played(open_page: Any, report: Path, tmp_path: Path) -> None:
    def served(data: dict[str, Any]) -> None:
        data["serve"] = {"audio": "clips/0000.flac?"}
        data["clips"] = data["clips"][:1]
        data["lists"] = [{"id": "random", "label": "At random", "note": "", "clips": [0]}]
        data["rows"]["columns"]["clip"] = [-1] * len(data["rows"]["columns"]["clip"])

    opened = open_page(change(shutil.copytree(report, tmp_path / "report"), served))
    expect(opened.page.locator("#overview")).to_contain_text("Every utterance can be played")
    last = opened.page.locator(".scroller tbody tr[data-number]").last
    last.locator("td.utterance").click()
    opened.button("▶ Play", "dialog").click()
    expect(opened.button("❚❚ Pause", "dialog")).to_be_visible()
    expect(opened.page.locator("dialog .problem")).to_be_hidden()
