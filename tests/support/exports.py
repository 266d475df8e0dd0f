"""Outputs that exports are made of: metadata of all kinds, missing here and there, and keys that hurt."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from support.corpora import SPEC
from support.packs import pack_npy

from pipeline.config import JobConfig
from pipeline.jobs.run import run

HOSTILE_KEYS = (
    "00007", "7", "a.b.c", "ru/voice.1", "two words", "ключ", "e\u0301", "anna", "Anna", "__init__", "_x", "-rf",
    "2026-01-01", "null", "true", "1e5", "NaN", "a\tb", "quote\"s and 'more'", "a|b", "<script>", "100 %", "x" * 230,
    "../../up",
)  # fmt: skip
"""Keys of which each is trouble for some reader. No two of them are one."""


def meta_of(number: int) -> dict[str, Any]:
    """The metadata of the utterance of a number: missing, null and mixed here and there."""
    meta: dict[str, Any] = {
        "text": f"Satz {number}: „ä“, 'b' | \"c\"\\ 日本",
        "spk": f"s{number % 3}",
        "lang": "de" if number % 2 else "fr",
        "age": 20 + number,
        "gain": number / 4,
        "ok": number % 2 == 0,
        "recorded": "2026-01-01 00:00:00",
        "mixed": number if number % 4 else "many",
        "place": {"x": number, "y": "b"},
        "tags": ["a", str(number)],
        "duration": "long",
    }
    if number >= 6:
        meta["late"] = f"late {number}"
    if number % 5 == 4:
        meta["text"] = None
    return meta


def make_store(folder: Path) -> Path:
    """A ragged store of short mels with these keys, at `folder/mels.zarr`."""
    rng = np.random.default_rng(0)
    (folder / "mels").mkdir()
    for number in range(len(HOSTILE_KEYS)):
        mel = rng.uniform(-9, 0, (SPEC.n_mels, 20 + number)).astype(np.float32)
        np.save(folder / "mels" / f"{number:03d}.npy", mel)
    pack_npy(str(folder / "mels"), str(folder / "mels.zarr"), SPEC, workers=1)
    group: Any = zarr.open_group(str(folder / "mels.zarr"), mode="r+")
    group["keys"][:] = np.array(HOSTILE_KEYS, np.dtypes.StringDType())
    return folder / "mels.zarr"


def make_output(store: Path, folder: Path, **output: Any) -> Path:
    """The output of a run on a copy of such a store, at `folder/audio`."""
    shutil.copytree(store, folder / "mels.zarr")
    write_metas(folder, [meta_of(number) for number in range(len(HOSTILE_KEYS))])
    run(job_of(folder, **output))
    return folder / "audio"


def write_metas(folder: Path, metas: list[dict[str, Any]]) -> None:
    """The metadata of the next run."""
    lines = [{"key": key, **meta} for key, meta in zip(HOSTILE_KEYS, metas, strict=True)]
    (folder / "texts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def job_of(folder: Path, **output: Any) -> JobConfig:
    """A job on the store of `make_output`, in this process."""
    return JobConfig.build(
        {
            "input": {"store": str(folder / "mels.zarr"), "meta": str(folder / "texts.jsonl"), "check_values": False},
            "vocoder": {"name": "griffin-lim"},
            "output": {"url": str(folder / "audio"), "shard_seconds": 1.5, "sidecar": "full", **output},
            "cluster": {"kind": "synchronous"},
        }
    )


def tree(folder: Path) -> dict[str, str]:
    """What lies in a folder, by name: the target of a link, or the bytes of a file."""
    return {
        path.relative_to(folder).as_posix(): str(path.readlink()) if path.is_symlink() else path.read_bytes().hex()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }
