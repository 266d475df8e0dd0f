"""The folder of a report, which a browser opens from the disk, without a server.

    index.html          the page, built from `page/`; its data are in it, as JSON
    rows/0000.js        rows of the table, loaded on demand: the JSON of a `RowColumns`
    clips/0001.flac     the audio of an utterance, its bytes as they lie in the output; or .wav
    clips/0001.js       its mels, loaded on demand; see `mel_file`
    report.json         says that this folder is a report, and of what, so that the next one may replace it

`script_files` says what is in a .js file. The folder is replaced whole: readers see the old report or the new one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.errors import ConfigError
from pipeline.output.layout import DATA
from pipeline.report.script_files import json_in_html
from pipeline.storage import PRIVATE, translated
from pipeline.storage.atomic import sync
from pipeline.storage.whole_folder import WholeFolder, check_folder

PAGE = Path(__file__).parent / "page" / "index.html"
"""The page, into which data are put at `_PLACE`."""
INDEX_HTML = "index.html"
MARKER = "report.json"
MARKER_VERSION = 1

_PLACE = b'<script type="application/json" id="report">REPORT</script>'


class ReportFolder:
    """The next version of a report. Use it as a context: without `finish`, everything stays as it was.

    Args:
        target: the folder. It need not be there; if it holds anything, it must be a report.
        outputs: paths or URLs of the outputs that it is of.

    Raises:
        ConfigError: if the folder holds something that is no report, or lies where melmill keeps audio.
        OwnedError: if another process writes this report.
        StorageError: if it cannot be written.
    """

    def __init__(self, target: Path, outputs: Iterable[str]) -> None:
        self.target = target.absolute()
        for output in outputs:
            _check_outside(self.target, output)
        check_folder(self.target)
        with translated(f"reading {self.target}"):
            _check_replaceable(self.target)
        self._folder = WholeFolder(self.target, "a report")
        self._subfolders: set[str] = set()

    def __enter__(self) -> Self:
        self._folder.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.__exit__(kind, error, trace)

    def write(self, name: str, content: bytes) -> None:
        """Write a file.

        Args:
            name: its name in the report, with forward slashes.
            content: its bytes.
        """
        path = self._folder.path / name
        with translated(f"writing {path}"):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            sync(path)

    def finish(self, page: Any, marker: Mapping[str, Any]) -> None:
        """Write the page, and put the report in place.

        Args:
            page: data of the page.
            marker: what report.json says of what it is of.
        """
        self.write(INDEX_HTML, with_data(page))
        self.write(MARKER, (json.dumps({"melmill_report": MARKER_VERSION, **marker}, indent=2) + "\n").encode())
        self._folder.put_in_place()


def with_data(page: Any) -> bytes:
    """The page with its data in it."""
    before, place, after = PAGE.read_bytes().partition(_PLACE)
    assert place, f"{PAGE} has no place for data"
    return before + _PLACE.replace(b"REPORT", json_in_html(page)) + after


def _check_replaceable(target: Path) -> None:
    """Raises ConfigError if a folder holds something, and is no report."""
    found = sorted(path.name for path in target.iterdir()) if target.exists() else []
    if not found:
        return
    try:
        if json.loads((target / MARKER).read_bytes())["melmill_report"] == MARKER_VERSION:
            return
    except (FileNotFoundError, IsADirectoryError, ValueError, KeyError, TypeError):
        pass
    names = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
    raise ConfigError(
        f"{target} holds {names}, and is not a report of melmill, so it is not replaced. Choose another folder"
    )


def _check_outside(target: Path, output: str) -> None:
    """Raises ConfigError if a report would lie among the files of an output that melmill writes."""
    if "://" in output:
        return
    for folder in (DATA, PRIVATE):
        if target.resolve().is_relative_to(Path(output).resolve() / folder):
            raise ConfigError(f"{target} lies in {output}/{folder}, where only runs write. Choose another folder")
