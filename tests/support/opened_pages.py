"""A report's page in a browser, and what it may not do there."""

from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Error, Locator, Page, Request
from support.paths import ROOT

AXE = ROOT / "build/page/node_modules/axe-core/axe.min.js"


class OpenedPage:
    """A report's page, opened from the disk.

    Args:
        page: the browser's page.
        folder: the report.

    `complaints` are errors in the console, and requests beyond the report's folder.
    """

    def __init__(self, page: Page, folder: Path) -> None:
        self.page, self.complaints = page, list[str]()
        self._own = folder.as_uri()
        page.on("console", self._on_console)
        page.on("pageerror", self._on_error)
        page.on("request", self._on_request)
        page.goto((folder / "index.html").as_uri())
        page.wait_for_selector("main")

    def button(self, name: str, within: str = "body", exact: bool = False) -> Locator:
        """The first button of a name."""
        return self.page.locator(within).first.get_by_role("button", name=name, exact=exact).first

    def keys(self) -> list[str]:
        """The keys in the table's first rows."""
        return self.page.locator(".scroller tbody td.utterance .key").all_inner_texts()

    def total(self) -> str:
        """How many rows the table says that it has."""
        return self.page.locator(".total").inner_text()

    def column(self, name: str) -> list[str]:
        """The values of a column in the table's first rows."""
        names = [
            each.split("\n")[0].split(" ↓")[0].split(" ↑")[0]
            for each in self.page.locator(".scroller th").all_inner_texts()
        ]
        place = next(at for at, each in enumerate(names) if each.startswith(name))
        return self.page.locator(f".scroller tbody td:nth-child({place + 1})").all_inner_texts()

    def drag(self, over: Locator, begin: float, end: float) -> None:
        """Drag with the mouse, from one share of an element's width to another."""
        over.scroll_into_view_if_needed()
        box = over.bounding_box()
        assert box is not None
        middle = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + begin * box["width"], middle)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + end * box["width"], middle, steps=4)
        self.page.mouse.up()

    def seconds(self) -> float:
        """Where the first picture says that its audio is [s]."""
        return float(self.page.locator(".pictures").first.get_attribute("aria-valuenow") or "nan")

    def plays_on(self, beyond: float) -> None:
        """Wait until the first picture's audio is beyond a position [s]. The policy stops Playwright's own waiting."""
        for _ in range(200):
            if self.seconds() > beyond:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"the audio is at {self.seconds()} s, not beyond {beyond} s")

    def accessibility_findings(self) -> list[str]:
        """What axe-core finds of serious and critical weight."""
        self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['id']}: {each['help']}: {[node['html'][:160] for node in each['nodes'][:3]]}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]

    def sideways(self) -> int:
        """By how much the page is wider than the window [px]."""
        wider: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return wider

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"console: {message.text}")

    def _on_error(self, error: Error) -> None:
        self.complaints.append(f"error: {error}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self._own, "data:", "blob:")):
            self.complaints.append(f"request: {request.url}")
