"""What several tests ask of an output."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pipeline.audit import verify


def rows(out: Path, name: str = "manifest.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / name).read_text().splitlines()]


def digests(out: Path) -> dict[str, str]:
    """PCM digest by key."""
    return {row["key"]: row["pcm_sha256"] for row in rows(out)}


def objects(out: Path) -> dict[str, str]:
    """Digest of every object of audio by name."""
    files = [path for path in (out / "data").rglob("*") if path.is_file()]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def every_byte(out: Path) -> dict[str, tuple[str, int]]:
    """Digest and time of change of every file."""
    return {
        str(path.relative_to(out)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def assert_whole(out: Path, utterances: int, failed: int = 0) -> None:
    """The invariant: committed keys = planned - failed, each once, and everything verifies."""
    report = verify(str(out))
    assert report.findings == ()
    keys = [row["key"] for row in rows(out)]
    bad = [row["key"] for row in rows(out, "failures.jsonl")]
    assert len(set(keys)) == len(keys) == report.utterances
    assert not set(keys) & set(bad)
    assert (len(keys), len(bad)) == (utterances - failed, failed)
