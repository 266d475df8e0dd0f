"""Makes the pictures of docs/howto/report.md: `build/browser/bin/python tests/tools/report_pictures.py`.

It makes two outputs of the prompts and their reports, and keeps what a browser shows of them in docs/howto/pictures.
"""

import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, sync_playwright

TESTS = Path(__file__).parents[1]
PICTURES = TESTS.parent / "docs/howto/pictures"


def take(page: Page, report: Path, comparison: Path) -> None:
    """Take all pictures."""
    page.set_viewport_size({"width": 1000, "height": 800})
    page.goto((report / "index.html").as_uri())
    page.locator(".chosen .caption").first.wait_for()
    _crop(page, "#overview", "report")
    _crop(page, ".chosen", "report-clip", kind="jpeg")
    page.set_viewport_size({"width": 1280, "height": 800})
    over = page.locator(".histogram .u-over").first
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 30, steps=4)
    page.mouse.up()
    page.mouse.move(0, 0)
    _crop(page, "#utterances", "report-utterances", height=1250)
    page.set_viewport_size({"width": 1000, "height": 800})
    page.goto((comparison / "index.html").as_uri())
    page.locator(".both .caption").first.wait_for()
    _crop(page, "#overview", "comparison")
    page.get_by_role("button", name="Compare blind").click()
    _crop(page, ".blind", "comparison-blind")


def _crop(page: Page, what: str, name: str, height: int = 2000, kind: Literal["png", "jpeg"] = "png") -> None:
    page.evaluate("document.querySelector('nav.top').style.position = 'static'")
    box = page.locator(what).bounding_box()
    assert box is not None
    top = box["y"] + page.evaluate("scrollY")
    clip = {"x": box["x"] - 16, "y": top - 8, "width": box["width"] + 32, "height": min(height, box["height"] + 16)}
    path = PICTURES / f"{name}.{kind}"
    page.screenshot(path=path, full_page=True, clip=clip, type=kind)  # type: ignore[arg-type]
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Make outputs, reports and pictures."""
    sys.path.insert(0, str(TESTS))
    from support.reported import described_prompts, made

    from pipeline.report import write_comparison, write_report

    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        folder = Path(place)
        store = described_prompts(folder)
        first, second = (made(store, folder / name, vocoder=name) for name in ("griffin-lim", "lift"))
        report = write_report(str(second), folder / "report").folder
        comparison = write_comparison(str(first), str(second), folder / "comparison").folder
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(color_scheme="light", reduced_motion="reduce")
        take(page, report, comparison)
        browser.close()


if __name__ == "__main__":
    main()
