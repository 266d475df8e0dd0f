"""Lhotse Shar: cuts and audio in numbered pairs of files, which `CutSet.from_shar` reads one after the other.

    DEST/SPLIT/cuts.000000.jsonl.gz    a cut for each utterance of a shard
    DEST/SPLIT/recording.000000.tar    KEY.flac and KEY.json, a `Recording`, in the order of the cuts

A tar of the output is no tar of a Shar: lhotse would take the JSON beside the audio for a `Recording`. So the encoded
audio is copied, byte by byte. Each shard of the output becomes one of the Shar.

Rules: lhotse 1.33, shar/readers/lazy.py and tar.py. lhotse takes every file in the folder of a Shar for a field.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.views.export_format import Making
from pipeline.views.formats.json_lines import gzipped, json_line
from pipeline.views.formats.lhotse_entries import IN_SHAR, cut, not_in_shar, recording
from pipeline.views.rows import ExportRow
from pipeline.views.shard_groups import ShardGroups, made_of
from pipeline.views.tar_file import write_tar


class LhotseShar:
    """See ExportFormat."""

    def __init__(self, making: Making) -> None:
        self._making = making
        self._groups = ShardGroups(self._write)

    def problem(self, row: ExportRow) -> str | None:
        """See ExportFormat."""
        why = not_in_shar(row.key)
        return why and f"{why}. Leave it out with --where, or export with --to lhotse, which takes any key"

    def add(self, row: ExportRow) -> None:
        """See ExportFormat."""
        self._groups.add(row)

    def finish(self) -> None:
        """See ExportFormat."""
        self._groups.finish()

    def _write(self, split: str, number: int, rows: Sequence[ExportRow]) -> None:
        files, name = self._making.files, f"{number:06d}"
        cuts = b"".join(json_line(cut(row, IN_SHAR)) for row in rows)
        for file, what, make in (
            (f"cuts.{name}.jsonl.gz", "cuts", lambda path: path.write_bytes(gzipped(cuts))),
            (f"recording.{name}.tar", "recording", lambda path: write_tar(path, self._members(rows))),
        ):
            files.make_once(f"{split}/{file}", made_of(f"shar {what}", rows, cuts), make)

    def _members(self, rows: Sequence[ExportRow]) -> Iterator[tuple[str, bytes]]:
        for row in rows:
            extension = row.row.member.rpartition(".")[2]
            yield f"{row.key}.{extension}", self._making.audio.content(row.row)
            yield f"{row.key}.json", json_line(recording(row, IN_SHAR))
