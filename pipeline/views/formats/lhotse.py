"""lhotse: recordings, supervisions and cuts as gzipped JSON lines, which `load_manifest` and `CutSet.from_file` read.

    DEST/recordings_SPLIT.jsonl.gz  supervisions_SPLIT.jsonl.gz  cuts_SPLIT.jsonl.gz

Audio stays where it is. lhotse takes paths as they are, so they are absolute. It reads a member of a tar, `TAR/MEMBER`,
since version 1.31 (`TarAsDirBackend`), of a tar on this machine. Each time it reads the headers of the tar up to the
member, which a Shar does not need.
"""

from __future__ import annotations

from pipeline.output.records import Row
from pipeline.views.export_format import Making
from pipeline.views.formats.json_lines import GzipLines
from pipeline.views.formats.lhotse_entries import Entry, cut, recording, supervision
from pipeline.views.rows import ExportRow


class LhotseManifests:
    """Writes lhotse's manifests."""

    def __init__(self, making: Making) -> None:
        self._making = making
        self._lines = GzipLines(making.files)
        self._in_tars = False

    def problem(self, row: ExportRow) -> str | None:
        """Nothing that a row can have is a problem for lhotse, except where its audio lies."""
        if row.row.shard.endswith(".tar") and self._making.audio.by_url:
            return (
                "audio in a tar behind a URL, of which lhotse reads no members. Pass --audio to copy it, or "
                "export with --to lhotse-shar"
            )
        return None

    def add(self, row: ExportRow) -> None:
        """Take the next row."""
        source = self._source(row.row)
        self._lines.write(f"recordings_{row.split}.jsonl.gz", recording(row, source))
        self._lines.write(f"supervisions_{row.split}.jsonl.gz", supervision(row))
        self._lines.write(f"cuts_{row.split}.jsonl.gz", cut(row, source))

    def finish(self) -> None:
        """Write what is left."""
        self._lines.finish()
        if self._in_tars:
            self._making.notes.append(
                "lhotse looks for an utterance from the beginning of its tar: 10 ms in one of 200 utterances, where a "
                "file takes 1 ms. To train on it, export with --to lhotse-shar, or pass --audio"
            )

    def _source(self, row: Row) -> Entry:
        audio = self._making.audio
        if self._making.options.audio:
            place, kind = str(self._making.files.target / audio.file(row, "audio")), "file"
        elif row.shard.endswith(".tar"):
            self._in_tars = True
            place, kind = f"{audio.location(row.shard)}/{row.member}", "url"
        else:
            place, kind = audio.location(row.object_name), "url" if audio.by_url else "file"
        return {"type": kind, "channels": [0], "source": place}
