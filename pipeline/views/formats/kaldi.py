"""Kaldi: a data directory for each split, which Kaldi, ESPnet, kaldiio and lhotse read.

    DEST/SPLIT/wav.scp       where the audio is: `TAR:OFFSET` or a path of WAV, a command for FLAC
    DEST/SPLIT/utt2spk, spk2utt, utt2dur, reco2dur, text, utt2lang

Every file is sorted by the bytes of its identifiers. `text` is left out if no utterance has a text, and `utt2lang`
unless all have a language. Paths are absolute, as in Kaldi's own recipes.

Rules: Kaldi's utils/validate_data_dir.sh and wave-reader.h; kaldiio 2.18.
"""

from __future__ import annotations

import itertools
import operator
import sqlite3
from collections.abc import Iterator
from contextlib import closing

from pipeline.errors import ConfigError
from pipeline.views.export_format import Making
from pipeline.views.formats.kaldi_entries import WEB, audio_location, speaker_id, unsayable, utterance_id
from pipeline.views.formats.needed_text import no_text
from pipeline.views.rows import ExportRow

_TABLE = "CREATE TABLE utterances (id BLOB PRIMARY KEY, speaker BLOB, key, wav, text, language, duration) WITHOUT ROWID"


class KaldiDirectories:
    """See ExportFormat. Rows wait in a temporary database until the end, to be sorted without all being in memory."""

    def __init__(self, making: Making) -> None:
        if making.audio.by_url and not making.audio.location("").startswith(WEB):
            raise ConfigError(
                f"--to kaldi: wav.scp can name files of this machine, and http:// and https://. The output is at "
                f"{making.audio.location('')}. Pass --base with its https:// URL, or copy it to a folder first"
            )
        self._making = making
        self._splits: dict[str, sqlite3.Connection] = {}

    def problem(self, row: ExportRow) -> str | None:
        """See ExportFormat."""
        return unsayable(row) or no_text(row, self._making.options, "Kaldi")

    def add(self, row: ExportRow) -> None:
        """See ExportFormat."""
        if row.split not in self._splits:
            database = sqlite3.connect("")  # a file without a name, which ends with its connection
            self._splits[row.split] = self._making.opened.enter_context(closing(database))
            database.execute(_TABLE)
        database, identifier = self._splits[row.split], utterance_id(row)
        wav = audio_location(row, self._making.audio.location(row.row.object_name))
        told = (identifier.encode(), speaker_id(row).encode(), row.key, wav, row.common["text"], row.common["language"])
        try:
            database.execute("INSERT INTO utterances VALUES (?, ?, ?, ?, ?, ?, ?)", (*told, row.row.duration))
        except sqlite3.IntegrityError:
            (other,) = database.execute("SELECT key FROM utterances WHERE id = ?", told[:1]).fetchone()
            raise ConfigError(
                f"--to kaldi: {row.key!r} and {other!r} would both be the utterance {identifier}, which is a key after "
                "its speaker. Leave one out with --where"
            ) from None

    def finish(self) -> None:
        """See ExportFormat."""
        for split, database in self._splits.items():
            self._write(split, database)

    def _write(self, split: str, database: sqlite3.Connection) -> None:
        _check_order(database)
        (with_text, with_language, number) = database.execute(
            "SELECT sum(text <> ''), sum(language <> ''), count(*) FROM utterances"
        ).fetchone()
        columns = {"wav.scp": "wav", "utt2spk": "speaker", "utt2dur": "duration", "reco2dur": "duration"}
        columns |= {"text": "text"} if with_text else {}
        columns |= {"utt2lang": "language"} if with_language == number else {}
        for name, column in columns.items():
            for identifier, value in database.execute(f"SELECT id, {column} FROM utterances ORDER BY id"):
                self._making.files.write(f"{split}/{name}", _line(identifier, value))
        for line in _speakers(database):
            self._making.files.write(f"{split}/spk2utt", line)
        if not with_text:
            self._making.notes.append(f"{split} has no file text: run utils/validate_data_dir.sh with --no-text")


def _check_order(database: sqlite3.Connection) -> None:
    """Raises ConfigError unless the utterances, in their order, are in the order of their speakers, too."""
    last = b""
    for (speaker,) in database.execute("SELECT speaker FROM utterances ORDER BY id"):
        if speaker < last:
            raise ConfigError(
                f"--to kaldi: the utterances of {last.decode()!r} and {speaker.decode()!r} are in another order than "
                "these speakers, which Kaldi refuses, because of a character before - in one name. Rename a speaker"
            )
        last = speaker


def _speakers(database: sqlite3.Connection) -> Iterator[bytes]:
    """The lines of spk2utt."""
    found = database.execute("SELECT speaker, id FROM utterances ORDER BY speaker, id")
    for speaker, utterances in itertools.groupby(found, operator.itemgetter(0)):
        yield b" ".join((speaker, *(identifier for _, identifier in utterances))) + b"\n"


def _line(identifier: bytes, value: bytes | str | float) -> bytes:
    """A line of a file: an identifier and a value, which may be empty in `text` alone."""
    text = value if isinstance(value, bytes) else str(value).encode("utf-8", "backslashreplace")
    return b" ".join((identifier, text)).rstrip(b" ") + b"\n"
