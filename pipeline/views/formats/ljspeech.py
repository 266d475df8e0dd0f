"""LJSpeech: a metadata.csv with `|` between its three columns, and WAV files.

    DEST/metadata.csv        NAME|text|normalized text; with --split in a folder for each split
    DEST/wavs/NAME.wav       WAV, with the samples of the output

The format has no FLAC: that is decoded, and its samples are written as WAV of the same bits. A WAV file of the output
is linked; one in a tar is copied. NAME is the key, percent-encoded as in shards, since readers make paths of it, and
cut those at their last dot.

Rules: LJSpeech 1.1, torchaudio.datasets.LJSPEECH 2.11. Readers cut lines at each `|`, and know no quotes.
"""

from __future__ import annotations

import io

import soundfile

from pipeline.audio.encode import as_wav, decoded_pcm_sha256
from pipeline.audio.member_names import DistinctNames, escape
from pipeline.errors import StorageError
from pipeline.output.records import Row
from pipeline.views.export_format import Making
from pipeline.views.formats.needed_text import no_text
from pipeline.views.rows import ExportRow

_CORRECT = "Correct it with input.meta, or leave it out with --where"


class LJSpeech:
    """See ExportFormat."""

    def __init__(self, making: Making) -> None:
        self._making = making
        self._names: dict[str, DistinctNames] = {}
        self._has_splits = len(making.options.splits) > 1

    def problem(self, row: ExportRow) -> str | None:
        """See ExportFormat."""
        texts = _texts(row)
        if any("|" in text for text in texts):
            return f"a text with |, which separates the columns. {_CORRECT}"
        if any(len(text.splitlines()) > 1 for text in texts):
            return f"a text of several lines. {_CORRECT}"
        return no_text(row, self._making.options, "LJSpeech")

    def add(self, row: ExportRow) -> None:
        """See ExportFormat."""
        folder = f"{row.split}/" if self._has_splits else ""
        name = self._names.setdefault(folder, DistinctNames()).distinct(escape(row.key))
        self._making.files.write(f"{folder}metadata.csv", "|".join((name, *_texts(row))) + "\n")
        self._put_wav(row.row, f"{folder}wavs/{name}.wav")

    def finish(self) -> None:
        """See ExportFormat."""

    def _put_wav(self, row: Row, name: str) -> None:
        audio, files = self._making.audio, self._making.files
        is_wav, in_tar = row.member.endswith(".wav"), row.shard.endswith(".tar")
        if is_wav and not in_tar and (path := audio.local_path(row.object_name)) is not None:
            files.link(name, path)
            return
        made_of = f"wav {row.sample_rate} {row.subtype} {row.pcm_sha256}"
        files.make_once(name, made_of, lambda path: path.write_bytes(self._wav(row)))

    def _wav(self, row: Row) -> bytes:
        """The audio as a WAV file with the samples that the manifest has a digest of."""
        content = self._making.audio.content(row)
        try:
            wav = content if row.member.endswith(".wav") else as_wav(content, row.subtype)
            found, _ = decoded_pcm_sha256(io.BytesIO(wav), row.subtype)
        except soundfile.LibsndfileError as error:
            raise _damaged(self._making.source.url, row, f"does not decode ({error})") from error
        if found != row.pcm_sha256:
            raise _damaged(self._making.source.url, row, "does not have the digest that the manifest states")
        return wav


def _texts(row: ExportRow) -> tuple[str, str]:
    """The text, and the normalized text, which is the text where the metadata has no `normalized_text`."""
    text = row.common["text"]
    return text, str(row.row.meta.get("normalized_text") or text)


def _damaged(url: str, row: Row, what: str) -> StorageError:
    return StorageError(
        f"{url}/{row.object_name}: the audio of {row.key!r} {what}. `melmill verify {url}` finds all that is damaged"
    )
