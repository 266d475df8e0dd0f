"""NeMo's tarred datasets: links to the tars, named as NeMo wants them, and a manifest for each tar.

    DEST/SPLIT/audio_0.tar                          a link; with --audio a tar that holds the audio of the split alone
    DEST/SPLIT/sharded_manifests/manifest_0.json    its utterances
    DEST/SPLIT/tarred_audio_manifest.json           the utterances of all tars, for readers that do not use lhotse

NeMo stops at a member of a tar that the manifest does not name, unless `skip_missing_manifest_entries` is true. A tar
of an output has such members: the JSON beside the audio (unless `output.sidecar` is `none`), and utterances that are
in another split or not in the export.

Rules: NeMo 3.0, `LazyNeMoTarredIterator`, `is_tarred_dataset` and `_TarredAudioToTextDataset`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import ConfigError
from pipeline.views.export_format import Making
from pipeline.views.formats.json_lines import json_line
from pipeline.views.formats.needed_text import no_text
from pipeline.views.formats.nemo_entries import manifest_line, taken_for_part
from pipeline.views.rows import ExportRow
from pipeline.views.shard_groups import ShardGroups, made_of
from pipeline.views.tar_file import write_tar


class NemoTarred:
    """See ExportFormat."""

    def __init__(self, making: Making) -> None:
        if making.audio.by_url:
            raise ConfigError(
                f"--to nemo-tarred: NeMo reads the number of a tar from its name, audio_0.tar, and those of "
                f"{making.source.url} have other names behind their URL. Pass --audio to copy the audio"
            )
        self._making = making
        self._groups = ShardGroups(self._write)
        if not making.options.audio and (why := _members_without_entry(making)):
            making.notes.append(
                f"the tars hold {why}: set skip_missing_manifest_entries: true beside tarred_audio_filepaths, or pass "
                "--audio, which copies the audio into tars that hold nothing else"
            )

    def problem(self, row: ExportRow) -> str | None:
        """See ExportFormat."""
        if not row.row.shard.endswith(".tar") and not self._making.options.audio:
            return "audio in a file of its own, not in a tar. Export with --to nemo, or pass --audio"
        if taken_for_part(row.key):
            return (
                "a key that ends with -sub and a number, which NeMo takes for a part of a longer recording. Leave them "
                "out with --where, or export with --to lhotse-shar, which NeMo reads, too"
            )
        return no_text(row, self._making.options, "NeMo")

    def add(self, row: ExportRow) -> None:
        """See ExportFormat."""
        self._groups.add(row)

    def finish(self) -> None:
        """See ExportFormat."""
        self._groups.finish()

    def _write(self, split: str, number: int, rows: Sequence[ExportRow]) -> None:
        files, audio, tar = self._making.files, self._making.audio, f"{split}/audio_{number}.tar"
        lines = b"".join(json_line(manifest_line(row, row.row.member, number)) for row in rows)
        files.write(f"{split}/tarred_audio_manifest.json", lines)
        files.make_once(
            f"{split}/sharded_manifests/manifest_{number}.json",
            made_of("nemo manifest", rows, lines),
            lambda path: path.write_bytes(lines),
        )
        if self._making.options.audio:
            members = ((row.row.member, audio.content(row.row)) for row in rows)
            names = "".join(f"{row.row.member}\n" for row in rows)
            files.make_once(tar, made_of("nemo tar", rows, names.encode()), lambda path: write_tar(path, members))
        else:
            audio.object(rows[0].row.shard, tar)


def _members_without_entry(making: Making) -> str:
    """What the tars of the output hold beside the utterances of a split, as text; empty if that is nothing."""
    options, described = making.options, making.source.ledger.existing_job()
    found = []
    if described.get("job", {}).get("output", {}).get("sidecar") != "none":
        found.append("a JSON file beside each audio file")
    if options.where or len(options.splits) > 1:
        found.append("utterances that their manifest does not name")
    return " and ".join(found)
