"""Outputs that all tests of readers share. They are not to be changed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.corpora import SPEC
from support.faults.ragged_store import write_store
from support.packs import pack_audio
from support.paths import PROMPTS
from support.reader_outputs import HOSTILE_KEYS, HOSTILE_META, list_of_texts

from pipeline.config import JobConfig
from pipeline.jobs.run import run
from pipeline.stores import open_store


@pytest.fixture(scope="session")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The job's input: 24 prompts, 18 of which have a text, a speaker and a language."""
    folder = tmp_path_factory.mktemp("prompts")
    store = folder / "mels.zarr"
    pack_audio(str(PROMPTS), str(store), SPEC, workers=1)
    keys = [each.key for each in open_store(str(store)).catalogue()]
    return {"input": {"store": str(store), "meta": list_of_texts(keys, folder / "texts.jsonl")}}


@pytest.fixture(scope="session")
def output_of(prompts: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes an output of the prompts, with settings of the job's `output`."""

    def make(**settings: Any) -> Path:
        out = tmp_path_factory.mktemp("made") / "audio"
        job = {
            **prompts,
            "vocoder": {"name": "lift"},
            "output": {"url": str(out), "shard_seconds": 15, **settings},
            "cluster": {"kind": "synchronous"},
        }
        run(JobConfig.build(job))
        return out

    return make


@pytest.fixture(scope="session")
def tars(output_of: Callable[..., Path]) -> Path:
    """The prompts in tars, as FLAC."""
    return output_of()


@pytest.fixture(scope="session")
def files(output_of: Callable[..., Path]) -> Path:
    """The prompts as WAV files."""
    return output_of(container="files", codec="wav")


@pytest.fixture(scope="session")
def hostile(vocoder_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output of utterances with hostile keys and metadata, in one tar."""
    folder = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(0)
    write_store(folder / "s.zarr", {key: rng.uniform(-8, -1, (80, 20)).astype(np.float32) for key in HOSTILE_KEYS})
    told = "".join(json.dumps({**HOSTILE_META, "key": key, "number": i}) + "\n" for i, key in enumerate(HOSTILE_KEYS))
    (folder / "m.jsonl").write_text(told)
    job = {
        "input": {"store": str(folder / "s.zarr"), "meta": str(folder / "m.jsonl"), "check_values": False},
        "vocoder": {"name": str(vocoder_path)},
        "output": {"url": str(folder / "audio")},
        "cluster": {"kind": "synchronous"},
    }
    run(JobConfig.build(job))
    return folder / "audio"
