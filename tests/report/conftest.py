import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from support.corpora import SPEC, rows
from support.packs import pack_npy

from pipeline.config import JobConfig
from pipeline.jobs.run import run
from pipeline.stores import open_store

Build = Callable[..., JobConfig]

BAD = ("es_MX_f_Allison/queue-holdtime", "fr_CA_f_June/vm-sorry")
"""Utterances of the output that are quarantined: a value of their mels is NaN."""


@pytest.fixture(scope="session")
def made(packed: Path, vocoder_path: Path, other: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with mels.zarr, and an output `audio` that two vocoders made one after the other. Not to be changed.

    18 of 24 utterances have a text, `speaker` is a number in some, and two are quarantined.
    """
    folder = tmp_path_factory.mktemp("made")
    store = Path(shutil.copytree(packed, folder / "mels.zarr"))
    keys = list(map(str, open_store(str(store)).catalogue().keys))
    lines = []
    for number, key in enumerate(keys):
        voice = key.partition("/")[0]
        line: dict[str, Any] = {
            "key": key,
            "lang": voice[:2],
            "speaker": number if number == 3 else voice,
            "take": number,
        }
        if number % 4:
            line["text"] = key.partition("/")[2].replace("-", " ")
        lines.append(json.dumps(line) + "\n")
    (folder / "texts.jsonl").write_text("".join(lines))

    def job(vocoder: str) -> JobConfig:
        return JobConfig.build(
            {
                "input": {"store": str(store), "meta": str(folder / "texts.jsonl")},
                "vocoder": {"name": vocoder},
                "output": {"url": str(folder / "audio"), "shard_seconds": 10},
                "cluster": {"kind": "synchronous"},
                "quality": {"max_failure_rate": 0.1},
            }
        )

    run(job(other))
    group = zarr.open_group(store, mode="r+")
    mel: Any = group["mel"]
    offsets: Any = group["offsets"]
    for key in BAD:
        mel[int(offsets[keys.index(key)]) + 5, 3] = np.nan
    run(job(str(vocoder_path)))
    assert len(rows(folder / "audio")) == 22
    return folder


@pytest.fixture
def output(made: Path, tmp_path: Path) -> Path:
    """A copy of the output that a test may damage; its store stays where it is."""
    return Path(shutil.copytree(made / "audio", tmp_path / "audio"))


@pytest.fixture
def hostile(vocoder_path: Path, tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """An output whose keys and texts are as bad as they can be, and its metadata."""
    texts = {
        "</script><script>alert(1)</script>": "</script><img src=x onerror=alert(2)>",
        "<!--": "<!-- <script>",
        "__proto__": "\u2028line\u2029paragraph\u0000nul",
        "שלום": "\u202eright to left",
        "😀": "\u0001control & \\u003c",
        "a'b\"c\\`${d}": "x" * 20_000,
    }
    (tmp_path / "mels").mkdir()
    metas = []
    for number, (key, text) in enumerate(texts.items()):
        mel = np.random.default_rng(number).uniform(-11, 1, (SPEC.n_mels, 40 + number)).astype(np.float32)
        path = tmp_path / "mels" / f"{key}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, mel)
        metas.append({"key": key, "text": text, "__proto__": "polluted", "<b>field</b>": "<i>value</i>"})
    (tmp_path / "meta.jsonl").write_text("".join(json.dumps(meta) + "\n" for meta in metas))
    pack_npy(str(tmp_path / "mels"), str(tmp_path / "mels.zarr"), SPEC, workers=1)
    config = JobConfig.build(
        {
            "input": {
                "store": str(tmp_path / "mels.zarr"), "meta": str(tmp_path / "meta.jsonl"), "check_values": False
            },
            "vocoder": {"name": str(vocoder_path)},
            "output": {"url": str(tmp_path / "audio")},
            "cluster": {"kind": "synchronous"},
        }
    )  # fmt: skip
    run(config)
    return tmp_path / "audio", metas
