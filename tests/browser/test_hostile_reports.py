"""What comes from a corpus stays text, and nothing of the page reaches beyond its folder."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from support.report_data import change
from support.reported import HOSTILE


def test_keys_and_texts_that_would_like_to_be_code_are_text(open_page: Any, hostile: Path) -> None:
    opened = open_page(hostile)
    for key, text in HOSTILE.items():
        opened.page.get_by_role("searchbox").fill(key)
        row = opened.page.locator(".scroller tbody tr", has=opened.page.locator(".key", has_text=key)).first
        expect(row.locator(".key")).to_have_text(key)
        row.click()
        window = opened.page.get_by_role("dialog")
        expect(window.locator("h3")).to_have_text(key)
        assert window.locator("blockquote").inner_text()[:300] == text.strip()[:300]
        opened.page.keyboard.press("Escape")
    assert opened.page.title() == "audio – melmill report"
    assert opened.page.locator("main img, main script, main iframe").count() == 0


def test_prototypes_are_not_reached_by_keys(open_page: Any, hostile: Path) -> None:
    opened = open_page(hostile)
    assert opened.page.evaluate("Object.keys(Object.prototype).length + ('polluted' in {})") == 0


ATTEMPTS = {
    "handler of an image": "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\\'reached = 1\\'>')",
    "handler of a button": """const button = document.createElement('button');
        button.setAttribute('onclick', 'window.reached = true');
        document.body.append(button);
        button.click()""",
    "markup": "document.querySelector('main').innerHTML = '<b>bold</b>'; window.reached = true",
    "script in markup": """const range = document.createRange();
        document.body.append(range.createContextualFragment('<script>window.reached = true</scr' + 'ipt>'))""",
    "script of another name": """const script = document.createElement('script');
        script.onload = () => { window.reached = true };
        script.src = 'clips/../clips/0000.js';
        document.head.append(script)""",
    "fetch": "fetch('https://example.invalid/').then(() => { window.reached = true }, () => 0)",
    "image": """const image = new Image();
        image.onload = () => { window.reached = true };
        image.src = 'https://example.invalid/x.png'""",
    "text as code": "setTimeout('window.reached = true', 0)",
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_the_policy_stops_what_would_get_into_the_page(open_page: Any, report: Path, attempt: str) -> None:
    opened = open_page(report)
    opened.page.evaluate(f"() => {{ try {{ {ATTEMPTS[attempt]} }} catch {{}} }}")
    opened.page.wait_for_timeout(200)
    assert opened.page.evaluate("window.reached") is None
    assert any("Content Security Policy" in each or "requires 'Trusted" in each for each in opened.complaints)
    opened.complaints.clear()


def test_a_file_of_another_name_is_not_run(open_page: Any, report: Path, tmp_path: Path) -> None:
    def name(data: dict[str, Any]) -> None:
        for clip in data["clips"]:
            clip["audio"]["detail"] = "https://example.invalid/0000.js"

    opened = open_page(change(shutil.copytree(report, tmp_path / "report"), name))
    expect(opened.page.locator(".chosen")).to_contain_text("https://example.invalid/0000.js is not a file of a report")
