"""Utterances as lines of NeMo's manifests. Pure.

As NeMo 3.0 reads them: `LazyNeMoIterator` and `LazyNeMoTarredIterator` in common/data/lhotse/nemo_adapters.py, and
`item_iter` in common/parts/preprocessing/manifest.py.
"""

from __future__ import annotations

import re
from typing import Any

from pipeline.views.rows import ExportRow

_OF_NEMO = frozenset({
    "_skipme", "answer", "answer_duration", "answer_type", "audio_file", "audio_filename", "audio_filepath",
    "context", "context_duration", "context_type", "duration", "feature_file", "feature_filename", "feature_filepath",
    "key", "offset", "orig_sample_rate", "question", "question_type", "rttm_file", "rttm_filename", "rttm_filepath",
    "sample_rate", "sampling_rate", "shard_id", "task", "text_filepath", "token_labels", "video_file",
    "video_filename", "video_filepath",
})  # fmt: skip
"""Fields by which NeMo finds and cuts audio. Metadata of such a name is about the file that the mel was made from."""
_PART = re.compile(r".+-sub\d+")


def manifest_line(row: ExportRow, audio_filepath: str, shard_id: int | None = None) -> dict[str, Any]:
    """An utterance as a line of a manifest.

    Metadata stands beside NeMo's own fields. A field with a name that NeMo takes for its own gets `meta_` before it.
    `speaker` and `lang` of the metadata keep their type: speakers are numbers in corpora for speech synthesis.

    Args:
        row: row of the export.
        audio_filepath: path or URL of the audio, or name of the member of the tar.
        shard_id: number of the tar; None if the audio is a file of its own.
    """
    made = row.row
    others = {name: value for name, value in made.meta.items() if name != "text"}  # that is NeMo's own text
    meta = {f"meta_{name}" if name in _OF_NEMO else name: value for name, value in others.items()}
    found = {"speaker": row.common["speaker"], "lang": row.common["language"]}
    return {
        "audio_filepath": audio_filepath,
        "duration": made.duration,
        "text": row.common["text"],
        "sampling_rate": made.sample_rate,
        **({} if shard_id is None else {"shard_id": shard_id}),
        "key": made.key,
        **{name: value for name, value in found.items() if value and name not in meta},
        **meta,
    }


def taken_for_part(key: str) -> bool:
    """Whether NeMo takes the audio of this key, in a tar, for a part of a longer recording: `NAME-sub1.flac`."""
    return _PART.fullmatch(key) is not None
