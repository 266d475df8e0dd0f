"""Speech, a small vocoder, and what several tests ask of an output."""

import dataclasses
import hashlib
import io
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from support.packs import pack_npy
from support.torch_writer import tensor, torch_names, zip_file

from pipeline.checkpoints.hifigan import build_hifigan
from pipeline.checkpoints.hifigan_config import HifiganConfig
from pipeline.checkpoints.hifigan_layers import generator
from pipeline.melspec import PRESETS
from pipeline.output.audit import verify
from pipeline.stores import open_store
from pipeline.vocoders import Vocoder, load_vocoder

SPEC = PRESETS["hifigan-22k"]

TINY = HifiganConfig(
    resblock="2", upsample_rates=(8, 8, 4), upsample_kernel_sizes=(16, 16, 8), upsample_initial_channel=16,
    resblock_kernel_sizes=(3,), resblock_dilation_sizes=((1, 2),), num_mels=80, sampling_rate=22050, n_fft=1024,
    hop_size=256, win_size=1024, fmin=0.0, fmax=8000.0,
)  # fmt: skip


def tiny_vocoder(path: Path, seed: int = 0, config: HifiganConfig = TINY) -> Path:
    rng = np.random.default_rng(seed)
    state = {}
    for layer in generator(config).layers():
        state[f"{layer.name}.weight"] = rng.normal(0, 0.05, layer.weight_shape).astype(np.float32)
        state[f"{layer.name}.bias"] = rng.normal(0, 0.05, layer.outputs).astype(np.float32)
    path.write_bytes(build_hifigan(state, config, "0" * 64).SerializeToString(deterministic=True))
    return path


def write_checkpoint(folder: Path) -> None:
    """`g_02500000` and its `config.json`, as HiFi-GAN's authors save them."""
    rng = np.random.default_rng(0)
    state = {}
    with torch_names():
        for layer in generator(TINY).layers():
            for name, shape in (("weight", layer.weight_shape), ("bias", (layer.outputs,))):
                array = rng.normal(0, 0.05, shape).astype(np.float32)
                state[f"{layer.name}.{name}"] = tensor(array, "Float", str(len(state)))
        (folder / "g_02500000").write_bytes(zip_file({"generator": state}))
    (folder / "config.json").write_text(json.dumps(dataclasses.asdict(TINY)))


def rows(out: Path, name: str = "manifest.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / name).read_text().splitlines()]


def digests(out: Path) -> dict[str, str]:
    """PCM digest by key."""
    return {row["key"]: row["pcm_sha256"] for row in rows(out)}


def audio(out: Path) -> dict[str, NDArray[np.float32]]:
    """The samples by key, of an output of tar shards."""
    found = {}
    for row in rows(out):
        with open(out / row["shard"], "rb") as file:
            file.seek(row["offset"])
            found[row["key"]] = soundfile.read(io.BytesIO(file.read(row["bytes"])), dtype="float32")[0]
    return found


def objects(out: Path) -> dict[str, str]:
    """Digest of every object of audio by name."""
    files = [path for path in (out / "data").rglob("*") if path.is_file()]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def every_byte(out: Path) -> dict[str, tuple[str, int]]:
    """Digest and time of change of every file; of an object store what it says of them."""
    if not isinstance(out, Path):
        return out.stamps()
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


def lasting_store(prompts: Path, folder: Path, seconds: float) -> tuple[Path, dict[str, str]]:
    """The prompts so often that a run with Griffin-Lim takes one core about so many seconds.

    How busy this machine is makes no difference: the processor's time counts, of the fastest of several decodings. No
    more than 60 s of speech are counted for a second, because all else that a run does with them takes as long.

    Returns:
        The store, and for each of its keys the key of the prompt.
    """
    store = open_store(str(prompts))
    vocoder = load_vocoder("griffin-lim", SPEC)
    mels = {each.key: np.ascontiguousarray(store.read(each)) for each in store.catalogue()}
    decoding = min(_processor_seconds(vocoder, mel) / mel.shape[1] for mel in list(mels.values())[:6])
    fastest = max(decoding, SPEC.seconds(1) / 60)
    times = math.ceil(seconds / fastest / sum(mel.shape[1] for mel in mels.values()))
    (folder / "mels").mkdir()
    copies = {}
    for again in range(times):
        for number, (key, mel) in enumerate(mels.items()):
            copies[f"{again:03d}-{number:02d}"] = key
            np.save(folder / "mels" / f"{again:03d}-{number:02d}.npy", mel)
    pack_npy(str(folder / "mels"), str(folder / "lasting.zarr"), SPEC, workers=1)
    return folder / "lasting.zarr", copies


def _processor_seconds(vocoder: Vocoder, mel: NDArray[np.float32]) -> float:
    begun = time.thread_time()
    vocoder.decode(mel)
    return time.thread_time() - begun
