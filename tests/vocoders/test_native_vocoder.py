"""HiFi-GAN in native kernels: the samples of onnxruntime to 1e-4; in windows those of the whole, bit for bit."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from support.kernels import needs_bfloat16
from support.native import BANDS, MODELS, write_native

from pipeline.errors import BadMelError, ConfigError, VocoderError
from pipeline.kernels import target
from pipeline.vocoders import load_vocoder
from pipeline.vocoders.base import BatchVocoder, CompiledVocoder, Window
from pipeline.vocoders.native_vocoder import NativeVocoder
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.vocoders.windows import decode_windows

Mel = NDArray[np.float32]


def noise(frames: int, seed: int = 1) -> Mel:
    return np.random.default_rng(seed).normal(-1, 2, (BANDS, frames)).astype(np.float32)


def in_windows(vocoder: NativeVocoder, mel: Mel, window: int | None = None) -> Mel:
    return np.concatenate(list(decode_windows(vocoder, lambda start, stop: mel[:, start:stop], mel.shape[1], window)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_native("hifigan", tmp_path / "small.onnx")


@pytest.fixture
def native(path: Path) -> NativeVocoder:
    return NativeVocoder(OnnxModel(path))


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_hifigan_has_the_samples_that_onnxruntime_gives(name: str, tmp_path: Path) -> None:
    model = str(write_native(name, tmp_path / "model.onnx"))
    native, other = load_vocoder(model), load_vocoder(model, runtime="onnxruntime")
    assert isinstance(native, NativeVocoder)
    assert (native.spec, native.name) == (other.spec, other.name)
    for frames in (15, 16, 97, 300):
        mel = noise(frames)
        ours, theirs = native.decode(mel), other.decode(mel)
        assert ours.shape == theirs.shape == (native.samples(frames),) == (other.samples(frames),)
        assert 0.03 < theirs.std() < 0.9
        assert np.abs(ours - theirs).max() < 1e-5


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("window", [1, 7, 40, 299])
def test_windows_are_those_of_the_whole_bit_for_bit(name: str, window: int, tmp_path: Path) -> None:
    vocoder = NativeVocoder(OnnxModel(write_native(name, tmp_path / "model.onnx")))
    mel = noise(300)
    np.testing.assert_array_equal(in_windows(vocoder, mel, window), vocoder.decode(mel))


def test_the_universal_checkpoint_runs_natively_by_default(mel: Mel) -> None:
    vocoder, other = load_vocoder("hifigan-universal"), load_vocoder("hifigan-universal", runtime="onnxruntime")
    assert (vocoder.backend.runtime, vocoder.halo, other.halo) == ("native", (57, 56), (13, 13))
    mel = mel[:, :120]
    whole = vocoder.decode(mel)
    assert np.abs(whole - other.decode(mel)).max() < 1e-4
    np.testing.assert_array_equal(in_windows(vocoder, mel, 50), whole)


def test_a_mel_in_another_memory_order_or_type_of_slice_gives_the_same_samples(native: NativeVocoder) -> None:
    mel = noise(50)
    wanted = native.decode(mel)
    np.testing.assert_array_equal(native.decode(np.asfortranarray(mel)), wanted)
    np.testing.assert_array_equal(native.decode(np.repeat(mel, 2, axis=1)[:, ::2]), wanted)


def test_threads_decode_at_once_and_each_gets_its_own_samples(native: NativeVocoder) -> None:
    mels = [noise(20 + 13 * (number % 5), number) for number in range(16)]
    found: dict[int, Mel] = {}
    start = threading.Barrier(len(mels))

    def decode(number: int) -> None:
        start.wait()
        for _ in range(5):
            found[number] = native.decode(mels[number])

    threads = [threading.Thread(target=decode, args=(number,)) for number in range(len(mels))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(mels)
    for number, mel in enumerate(mels):
        np.testing.assert_array_equal(found[number], native.decode(mel))


def test_a_pickle_holds_the_path_and_no_weights(native: NativeVocoder) -> None:
    wanted = native.decode(noise(40))
    content = pickle.dumps(native)
    assert len(content) < 500
    again = pickle.loads(content)  # noqa: S301
    assert (again.name, again.digest, again.halo) == (native.name, native.digest, native.halo)
    np.testing.assert_array_equal(again.decode(noise(40)), wanted)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_decodes_too(native: NativeVocoder) -> None:
    wanted = native.decode(noise(40))
    context = multiprocessing.get_context("fork")
    found = context.Queue()
    child = context.Process(target=lambda: found.put(native.decode(noise(40))))
    child.start()
    theirs = found.get(timeout=60)
    child.join()
    np.testing.assert_array_equal(theirs, wanted)


def test_the_digest_is_its_own_and_the_same_on_every_processor(
    native: NativeVocoder, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = OnnxModel(path)
    assert len(native.digest) == len(model.digest) == 32
    assert native.digest != model.digest
    monkeypatch.setattr("pipeline.vocoders.native_vocoder.available", lambda: target.named("haswell"))
    assert NativeVocoder(OnnxModel(path)).digest == native.digest
    elsewhere = native.backend.elsewhere
    assert "--set vocoder.runtime=onnxruntime keeps these shards" in elsewhere[model.digest]
    assert "--set vocoder.device=cuda keeps these shards" in elsewhere[OnnxModel(path, device="cuda").digest]
    assert native.digest not in elsewhere


_IN_A_PROCESS = """
import json, sys
import numpy as np
from pipeline.vocoders import load_vocoder
vocoder = load_vocoder(sys.argv[1])
mel = np.random.default_rng(1).normal(-1, 2, (vocoder.spec.n_mels, 40)).astype(np.float32)
before = {"llvmlite.binding", "onnxruntime", "onnx"} & set(sys.modules)
samples = vocoder.decode(mel)
import hashlib
print(json.dumps([hashlib.sha256(samples.tobytes()).hexdigest(), sorted(before)]))
"""


@pytest.mark.parametrize("processor", ["haswell", "skylake-avx512", "x86-64"])
def test_code_for_every_processor_gives_the_same_samples(
    processor: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def samples() -> Any:
        done = subprocess.run([sys.executable, "-c", _IN_A_PROCESS, str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)[0]

    try:
        monkeypatch.setenv("MELMILL_KERNELS", processor)
        target.available()
    except ConfigError as error:
        pytest.skip(str(error))
    wanted = load_vocoder(str(path), runtime="native").digest
    monkeypatch.delenv("MELMILL_KERNELS")
    host = samples()
    monkeypatch.setenv("MELMILL_KERNELS", processor)
    assert load_vocoder(str(path), runtime="native").digest == wanted
    if processor != "x86-64":  # where they are slow, only `native` takes them
        assert samples() == host


def test_a_run_in_native_kernels_imports_neither_onnxruntime_nor_onnx(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _IN_A_PROCESS, str(path)], capture_output=True, text=True)
    assert json.loads(done.stdout)[1] == ["llvmlite.binding"], done.stderr


def test_prepare_leaves_nothing_to_make_for_those_that_come_after(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELMILL_CACHE", str(tmp_path / "cache"))
    native = NativeVocoder(OnnxModel(path))
    assert isinstance(native, CompiledVocoder)
    assert not isinstance(native, BatchVocoder)
    program = "import sys; from pipeline.vocoders import load_vocoder; load_vocoder(sys.argv[1]).prepare()"
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    made = {each: each.stat().st_mtime_ns for each in (tmp_path / "cache").rglob("*") if each.is_file()}
    assert made
    done = subprocess.run([sys.executable, "-c", _IN_A_PROCESS, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert made == {each: each.stat().st_mtime_ns for each in (tmp_path / "cache").rglob("*") if each.is_file()}


def test_several_processes_may_be_the_first_at_once(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELMILL_CACHE", str(tmp_path / "cache"))
    command = [sys.executable, "-c", _IN_A_PROCESS, str(path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = {each.communicate()[0] for each in running}
    assert [each.returncode for each in running] == [0] * 4
    assert len(said) == 1


_PEAK = """
import resource, sys
import numpy as np
from pipeline.vocoders import load_vocoder
vocoder = load_vocoder("hifigan-universal")
rss = lambda: resource.getpagesize() * int(open("/proc/self/statm").read().split()[1])
vocoder.decode(np.zeros((80, 1), np.float32))
before, frames = rss(), vocoder.window + sum(vocoder.halo)
vocoder.decode(np.zeros((80, frames), np.float32))
print(rss() - before, vocoder.memory(frames), vocoder.shared_memory)
"""


def test_the_memory_that_is_planned_is_what_decoding_takes() -> None:
    load_vocoder("hifigan-universal").decode(np.zeros((80, 1), np.float32))  # compiles, so that the process need not
    done = subprocess.run([sys.executable, "-c", _PEAK], capture_output=True, text=True, check=True)
    took, planned, shared = map(int, done.stdout.split())
    assert 0.5 * planned < took < 1.1 * planned
    assert 240e6 < shared < 270e6


@pytest.mark.parametrize(
    ("mel", "words"),
    [
        (np.zeros((80, 5), np.float32), r"shape \[80, 5\]; small takes \[20, frames\]"),
        (np.zeros((20, 0), np.float32), r"shape \[20, 0\]"),
        (np.zeros(20, np.float32), r"shape \[20\]"),
        (np.full((20, 5), np.nan, np.float32), "NaN"),
        (np.full((20, 5), np.inf, np.float32), "infinity"),
    ],
)
def test_a_bad_mel_is_refused(native: NativeVocoder, mel: Mel, words: str) -> None:
    with pytest.raises(BadMelError, match=words):
        native.decode(mel)


def test_a_mel_that_is_too_short_to_be_mirrored_is_refused_and_a_short_window_of_a_longer_one_is_not(
    tmp_path: Path,
) -> None:
    path = write_native("speechbrain-hifigan", tmp_path / "mirrored.onnx")
    native, least = NativeVocoder(OnnxModel(path)), OnnxModel(path).card.least_frames
    assert least > 1
    with pytest.raises(BadMelError, match=f"frames >= {least}"):
        native.decode(noise(least - 1))
    whole = native.decode(noise(least))
    np.testing.assert_array_equal(in_windows(native, noise(least), 1), whole)


def test_a_window_without_the_halo_that_its_core_needs_is_an_error(native: NativeVocoder) -> None:
    mel = noise(500)
    with pytest.raises(VocoderError, match=r"frames 200 to 300 need frames 1\d\d to 4\d\d; 199 to 500 were given"):
        native.decode(mel[:, 199:], Window(199, 500, 200, 300, 500))


def test_a_model_that_was_changed_before_its_weights_were_read_is_refused(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELMILL_CACHE", str(tmp_path / "empty"))
    native = NativeVocoder(OnnxModel(path))
    write_native("hifigan", path, lambda model: setattr(model, "doc_string", "x"))
    with pytest.raises(ConfigError, match="has changed since it was opened"):
        native.decode(noise(20))


def test_a_card_that_contradicts_the_graph_leaves_the_model_to_onnxruntime(path: Path) -> None:
    def longer(model: onnx.ModelProto) -> None:
        plain = json.loads(model.metadata_props[0].value)
        model.metadata_props[0].value = json.dumps({**plain, "extra_samples": 16})

    vocoder = load_vocoder(str(write_native("hifigan", path, longer)))
    assert vocoder.backend.runtime == "onnxruntime"
    assert "against its card" in (vocoder.backend.why_not_native or "")


@needs_bfloat16
def test_mixed_precision_makes_little_noise_and_windows_are_those_of_the_whole(mel: Mel) -> None:
    """On a real prompt."""
    plain, mixed = load_vocoder("hifigan-universal"), load_vocoder("hifigan-universal", precision="mixed")
    wanted, found = plain.decode(mel).astype(np.float64), mixed.decode(mel)
    snr = 10 * np.log10(np.sum(wanted**2) / np.sum((found - wanted) ** 2))
    assert 40 <= snr < 60
    np.testing.assert_array_equal(in_windows(mixed, mel, 50), found)
    assert mixed.shared_memory < 0.8 * plain.shared_memory


def test_mixed_precision_is_another_vocoder_wherever_it_runs(path: Path, native: NativeVocoder) -> None:
    mixed = NativeVocoder(OnnxModel(path), precision="mixed")
    assert len({mixed.digest, native.digest, OnnxModel(path).digest}) == 3
    again = pickle.loads(pickle.dumps(mixed))  # noqa: S301
    assert (again.digest, again.backend.precision) == (mixed.digest, "mixed")
    assert mixed.backend.elsewhere[native.digest] == (
        "the same net, run in another way; --set vocoder.runtime=native --set vocoder.precision=float32 keeps these "
        "shards"
    )
    assert (
        "runtime=onnxruntime --set vocoder.precision=float32 keeps" in mixed.backend.elsewhere[OnnxModel(path).digest]
    )
    assert "runtime=native --set vocoder.precision=mixed keeps" in native.backend.elsewhere[mixed.digest]
