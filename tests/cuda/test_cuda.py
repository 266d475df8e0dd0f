"""Nets on a CUDA card: the samples of the CPU, in batches too, in the memory there is. Needs a card: make test-cuda."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from support.corpora import assert_whole, audio, digests
from support.cuda_card import free_bytes, only_free
from support.families import BANDS, CONFIGS, random_model
from support.paths import TESTS

from pipeline.errors import CardError
from pipeline.vocoders import Vocoder, decode_windows, load_vocoder, sessions
from pipeline.vocoders.cards import visible_cards
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.vocoders.onnx_vocoder import OnnxVocoder
from pipeline.vocoders.registry import model_path

GIB = 2**30
TO_THE_CPU, IN_BATCHES = 1e-4, 1e-5
"""What a card's samples may differ by from the CPU's, and a batch's from those of one window at a time."""


@pytest.fixture
def mel() -> NDArray[np.float32]:
    """A real mel, [80, 246]."""
    with np.load(TESTS / "data" / "reference" / "fr_CA_f_June__queue-youarenext.npz") as arrays:
        found: NDArray[np.float32] = arrays["mel"]
    return found


def decoded(vocoder: Vocoder, mel: NDArray[np.float32], window: int | None = None) -> NDArray[np.float32]:
    pieces = decode_windows(vocoder, lambda start, stop: mel[:, start:stop], mel.shape[1], window)
    return np.concatenate(list(pieces))


def difference(name: str, ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """The largest; printed, since it is the figure one wants to know (pytest -rP shows it)."""
    found = float(np.abs(ours - theirs).max())
    print(f"{name}: {found:.1e} of a peak of {np.abs(ours).max():.2f}")
    return found


@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_has_its_samples_on_a_card_too(family: str, tmp_path: Path) -> None:
    path = str(random_model(family, tmp_path / "random.onnx"))
    mel = np.random.default_rng(3).normal(-1, 2, (BANDS, 400)).astype(np.float32)
    ours, theirs = load_vocoder(path).decode(mel), load_vocoder(path, device="cuda", batch=1).decode(mel)
    assert np.abs(ours).max() > 0.05
    assert difference(f"{family}, card and CPU", ours, theirs) < TO_THE_CPU
    batched = decoded(load_vocoder(path, device="cuda", batch=4), mel, 32)
    assert difference(f"{family}, batches and whole", theirs, batched) < IN_BATCHES


@pytest.mark.parametrize("name", ["hifigan-universal", "hifigan-ljspeech"])
def test_the_shipped_checkpoints_have_their_samples_on_a_card_too(name: str, mel: NDArray[np.float32]) -> None:
    ours, theirs = load_vocoder(name, threads=4).decode(mel), load_vocoder(name, device="cuda").decode(mel)
    assert difference(f"{name}, card and CPU", ours, theirs) < TO_THE_CPU
    for batch in (1, 3, 8):
        batched = decoded(load_vocoder(name, device="cuda", batch=batch), mel, 32)
        assert difference(f"{name}, batches of {batch} and whole", theirs, batched) < IN_BATCHES


@pytest.mark.parametrize("name", ["hifigan", "speechbrain-hifigan", "hifigan-universal"])
def test_mixed_precision_differs_from_float32_by_little_noise(
    name: str, tmp_path: Path, mel: NDArray[np.float32]
) -> None:
    path = name
    if name in CONFIGS:
        path = str(random_model(name, tmp_path / "random.onnx"))
        mel = np.random.default_rng(3).normal(-1, 2, (BANDS, 400)).astype(np.float32)
    plain, mixed = (
        load_vocoder(path, device="cuda", precision=precision).decode(mel).astype(np.float64)
        for precision in ("float32", "mixed")
    )
    snr = 10 * np.log10(np.sum(plain**2) / np.sum((mixed - plain) ** 2))
    print(f"{name}, mixed precision: noise {snr:.1f} dB below the samples")
    assert 40 <= snr < 100  # it is neither loud nor missing


def test_two_processes_use_two_cards_where_there_are_two() -> None:
    code = "from pipeline.vocoders.cards import own_card; print(own_card().ordinal, flush=True); input()"
    pipe = subprocess.PIPE
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True))
            for _ in range(2)
        ]
        found = sorted(int(worker.stdout.readline()) for worker in workers if worker.stdout is not None)
        for worker in workers:
            worker.kill()
    assert found == ([0, 0] if len(visible_cards()) == 1 else [0, 1])


@pytest.mark.parametrize("family", CONFIGS)
def test_no_part_of_a_net_is_left_to_the_cpu(family: str, tmp_path: Path) -> None:
    """A node that the CUDA provider does not have is done by the CPU, and its input and output are copied."""
    options = onnxruntime.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "profile")
    path = random_model(family, tmp_path / "random.onnx")
    session = onnxruntime.InferenceSession(path, options, providers=[sessions._provider(0)])
    session.run(None, {"mel": np.zeros((2, BANDS, 100), np.float32)})
    events = json.loads(Path(session.end_profiling()).read_text())
    nodes = [event["args"] for event in events if event["name"].endswith("_kernel_time")]
    assert {node["op_name"] for node in nodes} >= {"Conv"}
    assert {node["op_name"] for node in nodes if node["provider"] != "CUDAExecutionProvider"} == set()


@pytest.mark.parametrize("gib", [1, 2, 4, 16])
def test_a_batch_chosen_by_memory_fits_in_what_was_free(
    gib: int, mel: NDArray[np.float32], caplog: pytest.LogCaptureFixture
) -> None:
    vocoder = OnnxVocoder(OnnxModel(model_path("hifigan-universal"), device="cuda"))
    vocoder.decode(mel[:, :20])  # its weights are there, and CUDA's own libraries
    with only_free(gib * GIB), caplog.at_level(logging.WARNING):
        frames = vocoder.window + sum(vocoder.halo)
        batch = vocoder.batch(frames)
        before = free_bytes()
        long = np.tile(mel, (1, 1 + batch * frames // mel.shape[1]))
        waveform = decoded(vocoder, long)
        print(f"{gib} GiB free: batches of {batch}, which took {(before - free_bytes()) / GIB:.2f} GiB")
    assert "one after the other" not in caplog.text
    assert len(waveform) == vocoder.samples(long.shape[1])
    assert 1 < batch <= 64
    assert batch == 64 or gib < 16


def test_a_batch_that_a_card_cannot_hold_is_decoded_in_smaller_ones(
    mel: NDArray[np.float32], caplog: pytest.LogCaptureFixture
) -> None:
    long = np.tile(mel, (1, 120))
    vocoders = [
        OnnxVocoder(OnnxModel(model_path("hifigan-universal"), device="cuda", batch=batch)) for batch in (2, 64)
    ]
    ours = decoded(vocoders[0], long)
    vocoders[1].decode(mel[:, :20])
    with only_free(GIB), caplog.at_level(logging.WARNING):
        theirs = decoded(vocoders[1], long)
        print(caplog.text[:1000])
        assert "a batch of 64 windows failed; now each window is tried alone" in caplog.text
    assert difference("in smaller batches", ours, theirs) < IN_BATCHES


def test_a_card_without_room_for_one_window_is_no_utterances_fault(mel: NDArray[np.float32]) -> None:
    vocoder = OnnxVocoder(OnnxModel(model_path("hifigan-universal"), device="cuda"))
    vocoder.decode(mel[:, :20])
    with only_free(64 * 2**20), pytest.raises(CardError, match="see with nvidia-smi which other processes") as raised:
        vocoder.decode(np.tile(mel, (1, 20)))
    print(str(raised.value)[:1000])
    assert len(vocoder.decode(mel)) == vocoder.samples(mel.shape[1])  # there is room again


def melmill(*arguments: str, card: bool = True) -> subprocess.CompletedProcess[str]:
    environment = os.environ if card else {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "pipeline", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)


def run(store: Path, out: Path, *settings: str, card: bool = True) -> subprocess.CompletedProcess[str]:
    sets = [argument for setting in ("output.shard_seconds=20", *settings) for argument in ("--set", setting)]
    return melmill("run", "--store", str(store), "--out", str(out), *sets, card=card)


def test_a_job_on_a_card_has_the_samples_of_one_on_the_cpu_and_again_the_same(packed: Path, tmp_path: Path) -> None:
    one = ["cluster.workers=1", "vocoder.batch=8"]  # the same batches have the same samples, to the bit
    outputs = {"cpu": ["vocoder.device=cpu"], "one": one, "four": ["cluster.workers=4"]}
    for name, settings in outputs.items():
        done = run(packed, tmp_path / name, "vocoder.device=cuda", *settings)
        assert done.returncode == 0, done.stderr
        assert_whole(tmp_path / name, 24)
        samples = audio(tmp_path / name)
        if name == "cpu":
            wanted = samples
        assert samples.keys() == wanted.keys()
        apart = max(float(np.abs(samples[key] - wanted[key]).max()) for key in wanted)
        print(f"{name}: at most {apart:.1e} from the CPU's, in steps of 16 bits")
        assert apart <= TO_THE_CPU + 2**-15
    again = run(packed, tmp_path / "again", "vocoder.device=cuda", *one)
    assert again.returncode == 0, again.stderr
    same = digests(tmp_path / "one").items() & digests(tmp_path / "again").items()
    assert len(same) == 24
    nothing = run(packed, tmp_path / "one", "vocoder.device=cuda", *one)
    assert (nothing.returncode, "nothing to do" in nothing.stdout + nothing.stderr) == (0, True)


def test_a_machine_whose_card_is_hidden_is_told_so_or_falls_back(packed: Path, tmp_path: Path) -> None:
    refused = run(packed, tmp_path / "refused", "vocoder.device=cuda", card=False)
    assert refused.returncode == 2, refused.stderr
    assert "nvidia-smi lists a GPU" in refused.stderr
    assert not (tmp_path / "refused" / "manifest.jsonl").exists()
    fallen = run(packed, tmp_path / "fallen", "vocoder.device=cuda-or-cpu", card=False)
    assert fallen.returncode == 0, fallen.stderr
    assert "vocoding on the CPU" in fallen.stderr
    assert_whole(tmp_path / "fallen", 24)
