from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from support.opened_pages import OpenedPage
from support.report_data import cut_to
from support.reported import described_prompts, made, spoil

from pipeline.report import ReportOptions, write_comparison, write_report

Open = Callable[..., OpenedPage]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. As root it has no sandbox, and sound has no device."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--mute-audio"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens the page of a folder as a person does, from the disk. No test may leave an error in its console."""
    contexts: list[tuple[BrowserContext, OpenedPage]] = []

    def opened(folder: Path, width: int = 1280, dark: bool = False, before: str = "") -> OpenedPage:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light", reduced_motion="reduce"
        )
        context.set_default_timeout(10_000)
        if before:
            context.add_init_script(before)
        page = OpenedPage(context.new_page(), folder)
        contexts.append((context, page))
        return page

    yield opened
    for context, page in contexts:
        context.close()
        assert page.complaints == []


@pytest.fixture(scope="session")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two outputs: `griffin-lim`, and `lift`, which was made again when two mels were spoilt."""
    folder = tmp_path_factory.mktemp("prompts")
    store = described_prompts(folder)
    made(store, folder / "griffin-lim", "griffin-lim")
    made(store, folder / "lift", "griffin-lim")
    spoil(store, 3, 9)
    made(store, folder / "lift", "lift")
    return folder


@pytest.fixture(scope="session")
def report(prompts: Path) -> Path:
    """The report of an output with failures and superseded shards."""
    return write_report(str(prompts / "lift"), prompts / "report").folder


@pytest.fixture(scope="session")
def comparison(prompts: Path) -> Path:
    """The report that compares both outputs."""
    return write_comparison(str(prompts / "griffin-lim"), str(prompts / "lift"), prompts / "comparison").folder


@pytest.fixture(scope="session")
def in_chunks(prompts: Path) -> Path:
    """A report whose page begins with five rows, and that has files with all of them."""
    wanted = ReportOptions(rows="all", clips=2)
    return cut_to(5, write_report(str(prompts / "lift"), prompts / "chunks", wanted=wanted).folder)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of an output whose keys and texts would like to be code."""
    folder = tmp_path_factory.mktemp("hostile")
    out = made(described_prompts(folder, hostile=True), folder / "audio")
    return write_report(str(out), folder / "report").folder
