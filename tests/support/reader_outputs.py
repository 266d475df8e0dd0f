"""Outputs for the readers of others, and what each reader is asked: the same samples and texts as the manifest says."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from support.corpora import rows

from pipeline.audio.encode import pcm_bytes, quantize

TOLD = 18
"""The number of prompts, of 24, that have a text, a speaker and a language: the last ones."""

HOSTILE_KEYS = (
    "a.b", "a", "b/c", "b/c.d/e", "Anna", "anna", "__init__", "00007", "-rf", "with blank", "pipe|bar", "x-sub1",
    "a//b", "/root", "../up", "~root", "dot.", ".hidden", "%41", "quote'\"s", "$(touch pwned)", "`id`", "ünïcode",
    "日本語", "🎤", "tab\tkey", "new\nline", "back\\slash", "c:d", "glob*?[x]", "-", "long-" + "x" * 240, "_melmill",
)  # fmt: skip
"""Keys that lead out of folders, are cut by readers, or mean something to a shell."""

HOSTILE_META: Mapping[str, Any] = {
    "text": "several words", "speaker": "s1", "offset": 3.5, "duration": 99.0, "audio_filepath": "/etc/passwd",
    "_skipme": True, "id": "other", "width": {"width": 3}, "array": {"shape": [1]}, "key": "other", "label": 7,
}  # fmt: skip
"""Metadata whose names mean something to readers."""


def list_of_texts(keys: Iterable[str], path: Path) -> str:
    """A list of metadata for the last `TOLD` of the keys: text, speaker, lang, and a number."""
    told = sorted(keys)[-TOLD:]
    path.write_text(
        "".join(
            json.dumps(
                {"key": key, "text": f"the text {number} – «ünï» of it", "speaker": f"s{number % 3}", "lang": key[:2],
                 "take": number}
            ) + "\n"
            for number, key in enumerate(told)
        )
    )  # fmt: skip
    return str(path)


def pcm_sha256(samples: NDArray[Any], subtype: str = "PCM_16") -> str:
    """The digest of samples as a reader gives them, as the manifest has it.

    Args:
        samples: `[samples]`, `[1, samples]` or `[samples, 1]`; int16, or floats with full scale 1.0.
        subtype: sample format of the audio.
    """
    flat = np.asarray(samples).reshape(-1)
    if flat.dtype == np.int16:
        return hashlib.sha256(flat.astype("<i2").tobytes()).hexdigest()
    steps, clipped = quantize(flat.astype(np.float32), subtype)  # type: ignore[arg-type]
    assert clipped == 0
    return hashlib.sha256(pcm_bytes(steps, subtype)).hexdigest()  # type: ignore[arg-type]


def encoded_sha256(encoded: bytes, subtype: str = "PCM_16") -> str:
    """The digest of the PCM in a FLAC or WAV file."""
    return pcm_sha256(soundfile.read(io.BytesIO(encoded), dtype="float32")[0], subtype)


def digests(out: Path) -> dict[str, str]:
    """PCM digest by key, in the order of the manifest."""
    return {row["key"]: row["pcm_sha256"] for row in rows(out)}


def assert_each_once_an_epoch(
    epoch: Callable[[int], Iterable[str]], keys: Iterable[str], shuffled: bool = True
) -> None:
    """Two epochs have each key once; if shuffled, in another order."""
    wanted, one, two = sorted(keys), list(epoch(0)), list(epoch(1))
    assert sorted(one) == sorted(two) == wanted
    if shuffled:
        assert one != two
