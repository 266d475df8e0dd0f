"""Utterances as Kaldi's data directories have them. Pure.

As utils/validate_data_dir.sh of Kaldi wants them: identifiers without blanks, files sorted by bytes (LC_ALL=C), and
utterances in one order, whether they are sorted by themselves or by speaker. That is why an utterance's identifier
begins with its speaker's.
"""

from __future__ import annotations

import shlex
import unicodedata

from pipeline.views.rows import ExportRow

WEB = ("http://", "https://")
"""Protocols of URLs that curl reads."""
_LEAVE_OUT = "leave it out with --where, or export with --to lhotse"


def utterance_id(row: ExportRow) -> str:
    """The identifier of an utterance: its key, after its speaker unless it begins with that already."""
    speaker = row.common["speaker"]
    return row.key if not speaker or row.key.startswith(f"{speaker}-") else f"{speaker}-{row.key}"


def speaker_id(row: ExportRow) -> str:
    """The speaker of an utterance; the utterance's own identifier if nobody knows the speaker, as Kaldi advises."""
    return row.common["speaker"] or utterance_id(row)


def unsayable(row: ExportRow) -> str | None:
    """Why Kaldi cannot have an utterance, and the way out; None if it can."""
    if _has_blanks(row.key):
        return f"a key with blanks, at which Kaldi cuts lines; {_LEAVE_OUT}"
    if _has_blanks(row.common["speaker"]):
        return f"a speaker whose name has blanks, at which Kaldi cuts lines; rename it with input.meta, or {_LEAVE_OUT}"
    if len(row.common["text"].splitlines()) > 1:
        return f"a text of several lines, of which Kaldi takes one; correct it with input.meta, or {_LEAVE_OUT}"
    if row.row.subtype != "PCM_16":
        return (
            f"audio in {row.row.subtype}, and Kaldi reads 16 bits; run the job with output.subtype: PCM_16 to another "
            "output, or export with --to lhotse"
        )
    return None


def audio_location(row: ExportRow, path: str) -> str:
    """What wav.scp says of where the audio is: a path, `TAR:OFFSET`, or a command that writes a WAV file.

    Kaldi and kaldiio read a WAV file from an offset on. FLAC goes through `flac`, as in Kaldi's own recipes.

    Args:
        row: row of the export.
        path: absolute path or URL of the tar, or of the audio's own file.
    """
    made = row.row
    in_tar, is_flac = path.endswith(".tar"), made.member.endswith(".flac")
    if path.startswith(WEB):
        span = f" -r {made.offset}-{made.offset + made.bytes - 1}" if in_tar else ""
        return f"curl -sSfL{span} {shlex.quote(path)} |" + (" flac -c -d -s - |" if is_flac else "")
    if not is_flac:
        return f"{path}:{made.offset}" if in_tar else path
    if not in_tar:
        return f"flac -c -d -s {shlex.quote(path)} |"
    return f"tail -c +{made.offset + 1} {shlex.quote(path)} | head -c {made.bytes} | flac -c -d -s - |"


def _has_blanks(text: str) -> bool:
    """Blanks or control characters, at which readers cut a line, or which Kaldi refuses."""
    return any(each.isspace() or unicodedata.category(each) == "Cc" for each in text)
