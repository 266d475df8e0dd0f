"""What `melmill serve` has to give: the files of a report, all rows of its table, and the audio of any utterance."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.output.layout import audio_object
from pipeline.output.published_manifest import PlainRow, PublishedManifest
from pipeline.report.folder import INDEX_HTML, ReportFolder
from pipeline.report.one_output import MadeReport, make_report, marker
from pipeline.report.page_data.page import PageData, ServedAudio
from pipeline.report.page_data.rows import RowChunk
from pipeline.report.published_output import PublishedOutput
from pipeline.report.report_options import USUAL, ReportOptions
from pipeline.report.row_files import ROWS_OF_CHUNK, as_bytes
from pipeline.report.script_files import script_file
from pipeline.storage import NO_OPTIONS

_AUDIO, _ROWS = re.compile(r"audio/(\d{1,12})"), re.compile(r"rows/(\d{4,8})\.js")
_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".flac": "audio/flac", ".wav": "audio/wav"}


@dataclass(frozen=True)
class ServedContent:
    """Something that is served.

    Args:
        type: its media type.
        size: number of its bytes.
        read: gives some of them: from a first byte on, a number of bytes.
    """

    type: str
    size: int
    read: Callable[[int, int], bytes]

    @classmethod
    def of(cls, type_: str, content: bytes) -> ServedContent:
        """Bytes that are there."""
        return cls(type_, len(content), lambda start, size: content[start : start + size])


class ServedOutput:
    """The report of an output, with all of its rows and all of its audio. Threads may use it together.

    Args:
        output: the output.
        manifest: its manifest, opened; what a run publishes later is not served.
        made: its report.
        folder: the folder of the report's files.
    """

    def __init__(self, output: PublishedOutput, manifest: PublishedManifest, made: MadeReport, folder: Path) -> None:
        self._output, self._manifest, self._made = output, manifest, made
        self._reading = threading.Lock()
        self._files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}

    @property
    def page(self) -> PageData:
        """Data of the page."""
        return self._made.page

    def find(self, name: str) -> ServedContent:
        """What has a name, which is relative to the page; "" is the page itself.

        Raises:
            FileNotFoundError: if there is nothing of this name, or the audio is gone.
            StorageError: if the output cannot be read.
        """
        if (path := self._files.get(name or INDEX_HTML)) is not None:
            return ServedContent.of(_TYPES.get(path.suffix, "application/json"), path.read_bytes())
        if (audio := _AUDIO.fullmatch(name)) is not None:
            return self._audio(int(audio[1]))
        if (rows := _ROWS.fullmatch(name)) is not None:
            return self._rows(name, int(rows[1]))
        raise FileNotFoundError(name)

    def _audio(self, number: int) -> ServedContent:
        ((_, row),) = self._lines(number, 1)
        name, offset, size = audio_object(row["shard"], row["member"]), row["offset"], row["bytes"]
        type_ = _TYPES.get(Path(row["member"]).suffix, "application/octet-stream")
        ranges = self._output.ranges
        return ServedContent(type_, size, lambda start, count: ranges.read(name, offset + start, count))

    def _rows(self, name: str, chunk: int) -> ServedContent:
        rows = self._lines(chunk * ROWS_OF_CHUNK, ROWS_OF_CHUNK)
        return ServedContent.of(_TYPES[".js"], script_file(name, as_bytes(self._made.table.columns(rows))))

    def _lines(self, first: int, count: int) -> list[tuple[int, PlainRow]]:
        starts = self._made.scan.starts
        if first >= len(starts):
            raise FileNotFoundError(f"row {first}")
        with self._reading:
            return self._manifest.plain_rows_at(int(starts[first]), first, min(count, len(starts) - first))


@contextlib.contextmanager
def served_output(
    url: str, options: Mapping[str, Any] = NO_OPTIONS, wanted: ReportOptions = USUAL
) -> Iterator[ServedOutput]:
    """Make the report of an output in a temporary folder, to be served. The folder is deleted at the end.

    Args:
        url: path or URL of the output.
        options: options for the client of an object store; may name environment variables.
        wanted: what the page begins with.

    Raises:
        ConfigError, StorageError: as from `write_report`.
    """
    output = PublishedOutput.open(url, options)
    with tempfile.TemporaryDirectory(prefix="melmill-serve-") as temporary, output.manifest() as manifest:
        with ReportFolder(Path(temporary) / "report", []) as target:
            made = make_report(output, manifest, target, dataclasses.replace(wanted, rows=wanted.most_rows))
            made = dataclasses.replace(made, page=_with_everything(made.page))
            target.finish(made.page, marker(made.page))
        yield ServedOutput(output, manifest, made, target.target)


def _with_everything(page: PageData) -> PageData:
    """The page that may ask for all rows, and for the audio of each."""
    total, each = page.rows.total, ROWS_OF_CHUNK
    chunks = tuple(RowChunk(f"rows/{at // each:04d}.js", min(each, total - at)) for at in range(0, total, each))
    begins = f"The page begins with {page.rows.included:,} rows; a button loads all of them."
    note = begins if page.rows.included < total else ""
    rows = dataclasses.replace(page.rows, chunks=chunks, note=note)
    return dataclasses.replace(page, rows=rows, serve=ServedAudio("audio/"))
