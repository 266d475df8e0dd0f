"""The page that compares two outputs: figures, the switch at the same position, and the blind mode."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from support.corpora import rows
from support.reports import page_of

HEARD = "document.querySelector('.switch button[aria-pressed=true]').textContent"
PRESS_X = """() => {
    const seconds = () => Number(document.querySelector('.pictures').getAttribute('aria-valuenow'));
    const before = seconds();
    document.querySelector('main').dispatchEvent(new KeyboardEvent('keydown', { key: 'x', bubbles: true }));
    return [before, seconds()];
}"""
NO_STORAGE = """Object.defineProperty(
    window, 'localStorage', { get() { throw new DOMException('denied', 'SecurityError') } })"""


def test_each_figure_is_compared_and_the_first_sentence_says_who_is_nearer(open_page: Any, comparison: Path) -> None:
    opened, data = open_page(comparison), page_of(comparison)
    expect(opened.page.locator(".sides")).to_contain_text("griffin-lim")
    first = next(each for each in data["fields"] if each["better"])
    panels = opened.page.locator(".compared section")
    expect(panels.first).to_contain_text(first["label"])
    same = opened.page.locator(".compared + .note").inner_text().lower()
    assert panels.count() + sum(each["label"].lower() in same for each in data["fields"]) == len(data["fields"])
    better = max(first["a_better"], first["b_better"])
    expect(opened.page.locator(".verdict")).to_contain_text(f"is better in {better} of 22 utterances")


def test_the_table_has_the_difference_of_each_figure_and_sorts_by_it(
    open_page: Any, comparison: Path, prompts: Path
) -> None:
    opened = open_page(comparison)
    a = {row["key"]: row["mel_distance"] for row in rows(prompts / "griffin-lim")}
    b = {row["key"]: row["mel_distance"] for row in rows(prompts / "lift")}
    largest = max(b, key=lambda key: b[key] - a[key])
    heading = opened.page.locator(".scroller th").get_by_role("button", name="Mel distance: B", exact=False).first
    heading.click()
    assert opened.keys()[0] == largest
    shown = float(opened.column("Mel distance: B")[0].replace("−", "-"))
    assert shown == pytest.approx(b[largest] - a[largest], abs=0.01)


def test_one_key_switches_what_is_heard_at_the_same_position(open_page: Any, comparison: Path) -> None:
    opened = open_page(comparison)
    opened.page.locator("main").focus()
    opened.page.keyboard.press("Space")
    opened.plays_on(0.3)
    assert opened.page.evaluate(HEARD) == "A"
    before, after = opened.page.evaluate(PRESS_X)
    assert opened.page.evaluate(HEARD) == "B"
    assert after == pytest.approx(before, abs=0.15)
    opened.plays_on(before)
    expect(opened.page.locator(".one.heard")).to_contain_text("B")
    opened.page.keyboard.press("x")
    assert opened.page.evaluate(HEARD) == "A"


def test_utterances_of_one_output_alone_are_named(open_page: Any, comparison: Path, prompts: Path) -> None:
    opened = open_page(comparison)
    for failure in rows(prompts / "lift", "failures.jsonl"):
        expect(opened.page.locator("#only")).to_contain_text(failure["key"])


def _blind(opened: Any) -> None:
    opened.button("Compare blind").click()
    expect(opened.page.locator(".blind .progress")).to_contain_text("Utterance 1 of")


def test_the_blind_mode_tells_nothing_of_a_and_b(open_page: Any, comparison: Path) -> None:
    opened = open_page(comparison)
    _blind(opened)
    shown = opened.page.locator("#listen").inner_text()
    assert "griffin-lim" not in shown
    assert "Mel distance" not in shown
    assert opened.page.locator("#listen .picture, #listen h3").count() == 0
    assert opened.page.locator(".switch button").all_inner_texts() == ["1", "2"]


def test_choices_are_made_by_key_kept_and_exported_with_their_outputs(open_page: Any, comparison: Path) -> None:
    opened, data = open_page(comparison), page_of(comparison)
    _blind(opened)
    for key in ("1", "2", "0", "1"):
        opened.page.keyboard.press(key)
    expect(opened.page.locator(".progress")).to_contain_text("4 choices")
    opened.page.reload()
    opened.button("Compare blind").click()
    expect(opened.page.locator(".progress")).to_contain_text("4 choices")
    expect(opened.page.locator(".progress")).to_contain_text("Utterance 5 of")
    with opened.page.expect_download() as waiting:
        opened.button("Export as JSON").click()
    told = json.loads(Path(waiting.value.path()).read_text())
    assert told["a"]["manifest_sha256"] == data["a"]["output"]["manifest_sha256"]
    assert [each["chosen"] == "same" for each in told["choices"]] == [False, False, True, False]
    first, second = told["choices"][:2]
    assert first["chosen"] == first["heard_as_1"]
    assert second["chosen"] != second["heard_as_1"]
    result = told["result"]
    assert result["a"] + result["b"] + result["same"] == 4


def test_the_result_is_shown_when_asked_for_and_a_new_trial_forgets_it(open_page: Any, comparison: Path) -> None:
    opened = open_page(comparison)
    _blind(opened)
    expect(opened.button("Show the result")).to_be_disabled()
    for _ in range(6):
        opened.button("1 is better").click()
    opened.button("Show the result").click()
    expect(opened.page.locator(".result")).to_contain_text("was chosen in")
    opened.page.on("dialog", lambda question: question.accept())
    opened.button("Begin again").click()
    expect(opened.page.locator(".progress")).to_contain_text("0 choices")


def test_what_is_heard_as_1_plays_the_right_file(open_page: Any, comparison: Path) -> None:
    """Played files are seen by their requests: each trial has its own sides."""
    opened, data = open_page(comparison), page_of(comparison)
    requests: list[str] = []
    opened.page.on("request", lambda request: requests.append(request.url))
    _blind(opened)
    with opened.page.expect_download() as waiting:
        opened.page.keyboard.press("1")
        opened.button("Export as JSON").click()
    told = json.loads(Path(waiting.value.path()).read_text())["choices"][0]
    clip = next(each for each in data["clips"] if each["row"]["key"] == told["key"])
    played = [each for each in requests if each.endswith((clip["a"]["file"], clip["b"]["file"]))]
    assert played[0].endswith(clip[told["heard_as_1"]]["file"])


def test_without_storage_choices_last_until_the_page_is_closed_and_it_says_so(open_page: Any, comparison: Path) -> None:
    opened = open_page(comparison, before=NO_STORAGE)
    _blind(opened)
    opened.page.keyboard.press("2")
    expect(opened.page.locator(".progress")).to_contain_text("1 choice")
    expect(opened.page.locator(".blind")).to_contain_text("export your choices before you close it")
    opened.button("Leave the blind mode").click()
    opened.button("Compare blind").click()
    expect(opened.page.locator(".progress")).to_contain_text("1 choice")
