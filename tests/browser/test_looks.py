"""The page at three widths, light and dark: nothing is cut, and everyone can read it. PICTURES=folder keeps images."""

import os
from pathlib import Path
from typing import Any

import pytest

WIDTHS = (360, 800, 1280)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", ["report", "comparison", "hostile"])
def test_the_page_fits_the_window_and_can_be_read_by_everyone(
    open_page: Any, request: pytest.FixtureRequest, kind: str, width: int, dark: bool
) -> None:
    opened = open_page(request.getfixturevalue(kind), width, dark)
    opened.page.locator(".caption").first.wait_for()
    assert opened.sideways() == 0
    if folder := os.environ.get("PICTURES"):
        opened.page.screenshot(path=Path(folder, f"{kind}-{width}-{'dark' if dark else 'light'}.png"), full_page=True)
    for section in opened.page.locator("main details").all():
        section.evaluate("each => { each.open = true }")
    assert opened.accessibility_findings() == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_an_utterance_over_the_page_can_be_read_by_everyone(open_page: Any, report: Path, dark: bool) -> None:
    opened = open_page(report, 360, dark)
    opened.page.locator(".scroller td.utterance").first.click()
    opened.page.locator("dialog .caption").first.wait_for()
    assert opened.accessibility_findings() == []
    box = opened.page.get_by_role("dialog").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
