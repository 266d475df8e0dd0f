"""The fields of metadata that most readers look for, under whichever of their usual names a corpus has them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

COMMON_FIELDS: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "transcript", "transcription", "sentence", "normalized_text"),
    "speaker": ("speaker", "speaker_id", "speaker_name", "spk", "spk_id"),
    "language": ("language", "lang", "language_id", "locale"),
}
"""Name of a common field, at the top of a row -> names that it has in the wild (NeMo, lhotse, Common Voice, LJSpeech,
Kaldi)."""


def common_fields(meta: Mapping[str, Any]) -> dict[str, str]:
    """Text, speaker and language of an utterance, as text; "" where its metadata has none.

    >>> common_fields({"transcript": "hello", "speaker_id": 3})
    {'text': 'hello', 'speaker': '3', 'language': ''}
    """
    found = {}
    for name, aliases in COMMON_FIELDS.items():
        value = next((meta[alias] for alias in aliases if meta.get(alias) not in (None, "")), "")
        found[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return found
