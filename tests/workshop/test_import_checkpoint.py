"""Checkpoints of six projects to one model, without torch; what they lack, and what is refused."""

from __future__ import annotations

import dataclasses
import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from click.testing import Result
from numpy.typing import NDArray
from support.checkpoint_files import (
    COQUI,
    NEMO,
    PWG,
    SHAPE,
    SPEECHBRAIN,
    SPEECHT5,
    SPELLINGS,
    TINY,
    nemo_bytes,
    renamed,
    torch_bytes,
    write_files,
)
from support.hifigans import random_state
from support.slow_layers import slow_conv, slow_generator
from typer.testing import CliRunner

from pipeline.checkpoints.hifigan_layers import generator
from pipeline.checkpoints.known_families import recognize
from pipeline.cli import app
from pipeline.errors import CheckpointError, ConfigError
from pipeline.melspec import PRESETS, Normalization
from pipeline.vocoders import Vocoder, load_vocoder
from pipeline.workshop.import_checkpoint import import_checkpoint, write_model

State = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def state() -> State:
    return random_state(TINY)


@pytest.fixture(scope="module")
def mel() -> NDArray[np.float32]:
    return np.random.default_rng(1).normal(-1, 2, (12, 9)).astype(np.float32)


def vocoder(checkpoint: Path, **options: Any) -> Vocoder:
    out = checkpoint.parent / "made.onnx"
    write_model(import_checkpoint(checkpoint, **options).model, out)
    return load_vocoder(str(out))


def reflected(x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any], dilation: int = 1) -> Any:
    padding = (weight.shape[2] - 1) * dilation // 2
    long = np.pad(x, ((0, 0), (padding, padding)), mode="reflect")
    return slow_conv(long, weight, bias, dilation)[:, padding : long.shape[1] - padding]


@pytest.mark.parametrize("project", SPELLINGS)
def test_every_spelling_of_a_generator_gives_the_samples_of_the_slow_one(
    project: str, state: State, mel: NDArray[np.float32], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = dataclasses.replace(PRESETS["speecht5-16k"], **SMALL) if project == "speecht5" else None
    made = vocoder(write_files(tmp_path, project, state), mel=given)
    taken = mel
    if project == "speecht5":  # mean and scale are in the model
        taken = (mel - np.linspace(-1, 1, 12)[:, None]) / np.linspace(0.5, 2, 12)[:, None]
    if project == "speechbrain":
        monkeypatch.setattr("support.slow_layers.slow_conv", reflected)
    expected = slow_generator(state, TINY, taken.astype(np.float32))
    found = made.decode(mel)
    assert 0.05 < expected.std() < 0.9
    assert found.shape == expected.shape == (72,)
    assert np.abs(found - expected).max() < 1e-5


def test_an_odd_rate_is_cut_as_parallel_wavegan_cuts_it(
    state: State, mel: NDArray[np.float32], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates, kernels = (4, 5), (8, 10)
    odd = dataclasses.replace(TINY, upsample_rates=rates, upsample_kernel_sizes=kernels, hop_size=20)
    weights = np.random.default_rng(3).normal(0, 1, (8, 4, 10)).astype(np.float32)
    other = state | {"ups.1.weight_v": weights}
    checkpoint = write_files(tmp_path, "pwg", other)
    params = PWG["generator_params"] | {"upsample_scales": list(rates), "upsample_kernel_sizes": list(kernels)}
    (tmp_path / "config.yml").write_text(yaml.safe_dump(PWG | {"generator_params": params, "hop_size": 20}))

    def cut(x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any], rate: int) -> Any:
        # padding = rate // 2 + rate % 2, output_padding = rate % 2: the right side is cut one less.
        length, kernel = x.shape[1], weight.shape[2]
        long = np.zeros((weight.shape[1], (length - 1) * rate + kernel))
        for i in range(length):
            long[:, i * rate : i * rate + kernel] += np.einsum("ijk,i->jk", weight, x[:, i])
        left, right = rate // 2 + rate % 2, rate // 2
        return bias[:, None] + long[:, left : long.shape[1] - right]

    monkeypatch.setattr("support.slow_layers.slow_conv_transpose", cut)
    expected = slow_generator(other, odd, mel)
    found = vocoder(checkpoint).decode(mel)
    assert found.shape == expected.shape == (180,)
    assert np.abs(found - expected).max() < 1e-5


# What they say of their mels.

STATS = Normalization(
    tuple(map(float, np.linspace(-3, -1, 12).astype(np.float32))),
    tuple(map(float, np.linspace(0.5, 1, 12).astype(np.float32))),
)
SMALL = {"sample_rate": 8000, "n_fft": 64, "hop_length": 8, "win_length": 32, "n_mels": 12, "fmax": 4000.0}


@pytest.mark.parametrize(
    ("project", "preset", "differs"),
    [
        ("jik876", "hifigan-22k", SMALL),
        ("coqui", "coqui", SMALL),
        ("nemo", "nemo-22k", SMALL),
        ("pwg", "pwg-22k", SMALL | {"win_length": 64, "fmax": 3800, "normalization": STATS}),
        ("speechbrain", "speechbrain-22k", SMALL),
    ],
)
def test_the_contract_is_the_projects_preset_with_the_configs_numbers(
    project: str, preset: str, differs: dict[str, Any], state: State, tmp_path: Path
) -> None:
    made = import_checkpoint(write_files(tmp_path, project, state))
    assert made.card.spec == dataclasses.replace(PRESETS[preset], **differs)


def test_speecht5_states_nothing_so_its_mels_are_those_of_its_feature_extractor_or_given(
    state: State, tmp_path: Path
) -> None:
    checkpoint = write_files(tmp_path, "speecht5", state)
    with pytest.raises(ConfigError, match=r"sampling_rate 8000, 12 bands and a hop of 8.*speecht5-16k.*--mel"):
        import_checkpoint(checkpoint)
    given = dataclasses.replace(PRESETS["speecht5-16k"], **SMALL, fmin=0.0)
    assert import_checkpoint(checkpoint, mel=given).card.spec == given


def test_the_contract_that_is_given_stands_above_the_configs(state: State, tmp_path: Path) -> None:
    given = dataclasses.replace(PRESETS["tacotron2-22k"], **SMALL)
    assert import_checkpoint(write_files(tmp_path, "jik876", state), mel=given).card.spec == given
    with pytest.raises(ConfigError, match="take 12 mel bands and make 8 samples of a frame; --mel says n_mels 80"):
        import_checkpoint(tmp_path / "g_02500000", mel=PRESETS["hifigan-22k"])


def changed(values: dict[str, Any], where: str, **changes: Any) -> dict[str, Any]:
    """A config with changes in one section; None takes a key away."""
    section = {**(values[where] if where else values), **changes}
    section = {key: value for key, value in section.items() if value is not ...}
    return values | {where: section} if where else section


@pytest.mark.parametrize(
    ("project", "config", "expected"),
    [
        (
            "coqui", changed(COQUI, "audio", signal_norm=False, log_func="np.log", spec_gain=1),
            {"log": "ln", "normalization": None},
        ),
        ("coqui", changed(COQUI, "audio", signal_norm=False, spec_gain=1), {"log": "log10", "normalization": None}),
        (
            "coqui", changed(COQUI, "audio", symmetric_norm=False, clip_norm=False, max_norm=2.0),
            {"normalization": Normalization((-80.0,), (50.0,))},
        ),
        ("coqui", changed(COQUI, "audio", mel_fmax=None), {"fmax": 4000.0}),
        ("nemo", changed(NEMO, "preprocessor", highfreq=None), {"fmax": 4000.0}),
        (
            "nemo", changed(NEMO, "preprocessor", log_zero_guard_type="add", mag_power=2.0),
            {"flooring": "add", "power": 2},
        ),
        (
            "pwg", changed(PWG, "", log_base=None, fmin=None, fmax=None, win_length=32),
            {"log": "ln", "fmin": 0.0, "fmax": 4000.0, "win_length": 32},
        ),
    ],
)  # fmt: skip
def test_other_settings_of_a_project_are_followed(
    project: str, config: dict[str, Any], expected: dict[str, Any], state: State, tmp_path: Path
) -> None:
    checkpoint = write_files(tmp_path, project, state)
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(config))
    spec = import_checkpoint(checkpoint, path).card.spec
    assert {name: getattr(spec, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("project", "config", "words"),
    [
        ("jik876", {}, r"missing key resblock.*--config"),
        ("jik876", SHAPE | {"num_mels": 12}, r"missing key sampling_rate, n_fft, hop_size.*or its mels with --mel"),
        ("coqui", changed(COQUI, "audio", fft_size=...), r"audio section lacks fft_size.*--mel"),
        ("coqui", changed(COQUI, "audio", sample_rate="fast"), "sample_rate 'fast', which is not a number"),
        ("coqui", changed(COQUI, "audio", preemphasis=0.97), "preemphasis is 0.97, which a mel contract of"),
        ("coqui", changed(COQUI, "audio", spec_gain=7), "spec_gain 7"),
        ("coqui", changed(COQUI, "audio", log_func=["np.log"]), "log_func"),
        ("coqui", changed(COQUI, "audio", min_level_db=5), "do not describe a normalization"),
        ("coqui", changed(COQUI, "audio", stats_path="scale_stats.npy"), r"names stats_path.*--stats"),
        ("coqui", changed(COQUI, "", audio=3), "has no audio"),
        ("coqui", changed(COQUI, "generator_model_params", resblock_type="3"), "resblock is '3'"),
        ("nemo", changed(NEMO, "preprocessor", exact_pad=False), "exact_pad is False"),
        ("nemo", changed(NEMO, "preprocessor", n_fft=...), "lacks n_fft"),
        ("nemo", changed(NEMO, "preprocessor", mag_power=1.5), "to the power 1.5"),
        ("nemo", changed(NEMO, "", preprocessor=...), "lacks the section preprocessor"),
        ("nemo", changed(NEMO, "generator", upsample_rates=...), "missing key upsample_rates"),
        ("pwg", changed(PWG, "", hop_size=...), "lacks hop_size"),
        ("pwg", changed(PWG, "", generator_params=...), "has no generator_params"),
        ("pwg", changed(PWG, "", generator_type="MelGANGenerator"), "of a 'MelGANGenerator'"),
        ("pwg", changed(PWG, "", log_base=2.0), "log_base is 2.0"),
        ("pwg", changed(PWG, "", sampling_rate_for_feats=4000), "another sampling rate"),
        ("pwg", changed(PWG, "generator_params", use_causal_conv=True), "use_causal_conv is True"),
        ("pwg", changed(PWG, "generator_params", kernel_size=4), "kernel_size 4"),
        ("speecht5", changed(SPEECHT5, "", upsample_rates=...), "missing key upsample_rates"),
        ("speecht5", changed(SPEECHT5, "", leaky_relu_slope="x"), "leaky_relu_slope is 'x'"),
        ("speechbrain", SPEECHBRAIN.replace("norm: \"slaney\"\n", "", 1), "lacks norm"),
        ("speechbrain", SPEECHBRAIN.replace("n_fft: 64", "n_fft: !ref <win_length> * 2", 1), "computes n_fft"),
        ("speechbrain", SPEECHBRAIN.replace("power: 1", "power: 1.5", 1), "to the power 1.5"),
        ("speechbrain", SPEECHBRAIN.replace("n_fft: 64", "n_fft: !ref <n_fft>", 1), "computes n_fft"),
        ("speechbrain", SPEECHBRAIN.replace("normalized: False", "normalized: True", 1), "normalized by magnitude"),
        ("speechbrain", SPEECHBRAIN.replace("upsample_factors", "factors"), "missing key upsample_rates"),
    ],
)  # fmt: skip
def test_what_a_config_lacks_is_named_and_how_to_give_it(
    project: str, config: Any, words: str, state: State, tmp_path: Path
) -> None:
    checkpoint = write_files(tmp_path, project, state)
    path = tmp_path / "other.yaml"
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    with pytest.raises(ConfigError, match=words) as caught:
        import_checkpoint(checkpoint, path)
    assert str(path) in str(caught.value) or "--stats" in str(caught.value)


def test_a_checkpoint_without_any_config_says_where_one_is_looked_for(state: State, tmp_path: Path) -> None:
    write_files(tmp_path, "jik876", state)
    (tmp_path / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"no config file beside it \(config\.json, config\.yml, .*--config"):
        import_checkpoint(tmp_path / "g_02500000")


@pytest.mark.parametrize("content", [b"\xff", b"[1]", b"{", b"a: &a [*a", b"x: y: z", b" " * (1 << 21)])
def test_a_config_that_is_none_is_refused_with_its_path(content: bytes, state: State, tmp_path: Path) -> None:
    checkpoint = write_files(tmp_path, "jik876", state)
    for name in ("bad.json", "bad.yml"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=name):
            import_checkpoint(checkpoint, tmp_path / name)


def test_tags_in_a_config_run_nothing(state: State, tmp_path: Path) -> None:
    checkpoint = write_files(tmp_path, "speechbrain", state)
    evil = f"a: !!python/object/apply:os.system ['touch {tmp_path}/ran']\nb: !apply:os.system [touch {tmp_path}/ran]\n"
    (tmp_path / "hyperparams.yaml").write_text(evil + SPEECHBRAIN)
    import_checkpoint(checkpoint)
    assert not (tmp_path / "ran").exists()


# Statistics.


def test_statistics_come_from_beside_from_a_flag_or_from_the_checkpoint(state: State, tmp_path: Path) -> None:
    checkpoint = write_files(tmp_path, "pwg", state)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["mean"], file["scale"] = np.full(12, -2, np.float32), np.full((1, 12), 0.5, np.float32)
    given = import_checkpoint(checkpoint, stats=tmp_path / "other.h5").card.spec.normalization
    assert given == Normalization((-2.0,) * 12, (0.5,) * 12)
    (tmp_path / "stats.npy").unlink()
    with pytest.raises(ConfigError, match=r"statistics are missing: give them with --stats"):
        import_checkpoint(checkpoint)
    found = {"mean": np.full(12, -1, np.float32), "scale": np.full(12, 2, np.float32)}
    layers = [(f".convs{c}.{i}.", f".convs{c}.{i}.1.") for c in (1, 2) for i in (0, 1)]
    layers += [("ups.0.", "upsamples.0.1."), ("ups.1.", "upsamples.1.1."), ("resblocks.", "blocks.")]
    found |= renamed(state, *layers, ("conv_pre.", "input_conv."), ("conv_post.", "output_conv.1."))
    checkpoint.write_bytes(torch_bytes(found))
    assert import_checkpoint(checkpoint).card.spec.normalization == Normalization((-1.0,) * 12, (2.0,) * 12)


def test_coquis_statistics_are_given_where_its_config_names_them(state: State, tmp_path: Path) -> None:
    checkpoint = write_files(tmp_path, "coqui", state)
    config = tmp_path / "other.yaml"
    config.write_text(yaml.safe_dump(changed(COQUI, "audio", stats_path="scale_stats.npy")))
    np.save(tmp_path / "s.npy", np.array([[-50.0] * 12, [20.0] * 12]))
    made = import_checkpoint(checkpoint, config, tmp_path / "s.npy")
    assert made.card.spec.normalization == Normalization((-50.0,) * 12, (20.0,) * 12)


def test_statistics_that_nothing_asks_for_are_refused(state: State, tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.ones((2, 12), np.float32))
    with pytest.raises(ConfigError, match="does not use statistics"):
        import_checkpoint(write_files(tmp_path, "speechbrain", state), stats=tmp_path / "s.npy")
    with pytest.raises(ConfigError, match="does not normalize its mels"):
        import_checkpoint(write_files(tmp_path, "jik876", state), stats=tmp_path / "s.npy")


ELSEWHERE, OUTSIDE = h5py.ExternalLink("/etc/hosts", "x"), ("/etc/hosts", 0, 48)


def _h5(path: Path, write: Callable[[h5py.File], Any]) -> None:
    with h5py.File(path, "w") as file:
        file["mean"] = np.zeros(12, np.float32)
        write(file)


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("s.npy", lambda path: path.write_bytes(b"\x93NUMPY"), "cannot be read as statistics"),
        ("s.npy", lambda path: path.write_bytes(b""), "cannot be read as statistics"),
        ("s.npy", lambda path: np.save(path, np.array([{}]), allow_pickle=True), "object"),
        ("s.npy", lambda path: np.save(path, np.ones((3, 12))), r"\(3, 12\)"),
        ("s.npy", lambda path: np.save(path, np.ones((2, 12), int)), "int64"),
        ("s.npy", lambda path: np.save(path, np.ones((2, 11))), "normalization has 11 bands, n_mels is 12"),
        ("s.npy", lambda path: np.save(path, np.zeros((2, 12))), "every scale"),
        ("s.npy", lambda path: path.write_bytes(b"0" * (1 << 21)), "have up to"),
        ("s.h5", lambda path: path.write_bytes(b"no hdf5"), "cannot be read as statistics"),
        ("s.h5", lambda path: _h5(path, lambda file: None), "does not have a data set scale"),
        ("s.h5", lambda path: _h5(path, lambda file: file.create_group("scale")), "is not a plain data set"),
        ("s.h5", lambda path: _h5(path, lambda file: file.update(scale=np.ones(1025))), "1025 values"),
        ("s.h5", lambda path: _h5(path, lambda file: file.update(scale=ELSEWHERE)), "does not have a data set scale"),
        (
            "s.h5", lambda path: _h5(path, lambda file: file.create_dataset("scale", (12,), "f4", external=[OUTSIDE])),
            "is not a plain data set",
        ),
    ],
)  # fmt: skip
def test_statistics_that_are_none_are_refused(
    name: str, write: Callable[[Path], Any], words: str, state: State, tmp_path: Path
) -> None:
    write(tmp_path / name)
    with pytest.raises(ConfigError, match=words):
        import_checkpoint(write_files(tmp_path, "pwg", state), stats=tmp_path / name)


# Which family, which file.


def test_a_checkpoint_of_no_family_is_refused_with_what_was_found() -> None:
    with pytest.raises(CheckpointError, match=r"x\.pth: its keys are of no known family: a\.bias, a\.weight\. The"):
        recognize({"a.weight": np.ones(1), "a.bias": np.ones(1)}, "x.pth")


def test_keys_of_two_families_ask_for_a_choice(state: State, tmp_path: Path) -> None:
    both = state | renamed(state, ("ups.", "upsampler."))
    with pytest.raises(CheckpointError, match=r"fit several families: hifigan, .*speecht5-hifigan.*--family"):
        recognize(both, "x.pth")


def test_a_family_that_is_named_is_not_recognized_and_must_exist(state: State, tmp_path: Path) -> None:
    checkpoint = write_files(tmp_path, "jik876", state)
    with pytest.raises(ConfigError, match="--family wavenet: there is no such family; the families are hifigan, "):
        import_checkpoint(checkpoint, family_name="wavenet")
    given = dataclasses.replace(PRESETS["speecht5-16k"], **SMALL)
    with pytest.raises(CheckpointError, match=r"SpeechT5HifiGan: the checkpoint lacks.*upsampler"):
        import_checkpoint(checkpoint, family_name="speecht5-hifigan", mel=given)


def test_the_one_checkpoint_in_a_folder_is_found(state: State, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="this folder has no checkpoint"):
        import_checkpoint(tmp_path)
    checkpoint = write_files(tmp_path, "jik876", state)
    assert import_checkpoint(tmp_path).checkpoint == checkpoint
    (tmp_path / "do_02500000.pth").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"several files may be the checkpoint: do_02500000\.pth, g_02500000"):
        import_checkpoint(tmp_path)


def test_a_folder_with_both_of_hugging_faces_files_gives_the_one_that_can_only_hold_tensors(
    state: State, tmp_path: Path
) -> None:
    checkpoint = write_files(tmp_path, "speecht5", state)
    (tmp_path / "pytorch_model.bin").write_bytes(b"not looked at")
    given = dataclasses.replace(PRESETS["speecht5-16k"], **SMALL, fmin=0.0)
    assert import_checkpoint(tmp_path, mel=given).checkpoint == checkpoint


# Files that are no checkpoints, and those that ask for more than tensors.


def inst(module: str, name: str) -> bytes:
    """A pickle that makes an object of a class, as a saved module does."""
    return pickle.PROTO + b"\x02" + f"c{module}\n{name}\n".encode() + b")\x81}b."


@pytest.mark.parametrize(
    ("module", "name"), [("glow", "WaveGlow"), ("os", "system"), ("torch.nn.modules.conv", "Conv1d")]
)
@pytest.mark.parametrize("project", ["jik876", "nemo"])
def test_a_pickled_module_is_refused_with_what_it_asks_for(
    module: str, name: str, project: str, state: State, tmp_path: Path
) -> None:
    checkpoint = write_files(tmp_path, project, state)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", inst(module, name))
    evil = file.getvalue()
    if project == "nemo":
        evil = nemo_bytes({"model_config.yaml": b"a: 1", "model_weights.ckpt": evil})
    checkpoint.write_bytes(evil)
    with pytest.raises(CheckpointError, match=rf"names '{module}\.{name}'"):
        import_checkpoint(checkpoint)


def link(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return member


def vast(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = 1 << 40
    return member


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"model_config.yaml": b"a: 1"}, "lacks model_weights.ckpt"),
        ({"../model_config.yaml": b"a: 1", "x/model_weights.ckpt": b""}, "lacks model_config.yaml and model_weights"),
        ({"model_config.yaml": link("model_config.yaml")}, "is not a plain file"),
        ({"model_config.yaml": b"", "./model_config.yaml": b""}, "twice"),
        ({"model_config.yaml": b" " * (1 << 21)}, "too large|claims more"),
        ({"other": vast("other")}, "claims more than"),
        ({"model_config.yaml": b"\xff", "model_weights.ckpt": torch_bytes({"a": np.ones(1, np.float32)})}, "not text"),
        ({"model_config.yaml": b"a: 1", "model_weights.ckpt": b"nothing"}, "ckpt: it is not a torch checkpoint"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_an_archive_that_is_no_nemo_file_is_refused(members: Any, words: str, mode: str, tmp_path: Path) -> None:
    path = tmp_path / "x.nemo"
    path.write_bytes(nemo_bytes(members, mode))
    with pytest.raises(CheckpointError, match=words):
        import_checkpoint(path)


@pytest.mark.parametrize("cut", [1, 300, 600, 5000])
def test_an_archive_that_is_cut_off_is_refused(cut: int, state: State, tmp_path: Path) -> None:
    for project in ("nemo", "nemo-flat"):
        checkpoint = write_files(tmp_path, project, state)
        checkpoint.write_bytes(checkpoint.read_bytes()[:cut])
        with pytest.raises(CheckpointError, match=r"voice\.nemo"):
            import_checkpoint(checkpoint)


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pth: cannot be read"):
        import_checkpoint(tmp_path / "none.pth")


# The command.


def melmill(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["vocoder", "import", *map(str, arguments)])


def test_the_command_says_what_it_recognized_and_replaces_nothing_without_force(state: State, tmp_path: Path) -> None:
    checkpoint, out = write_files(tmp_path, "pwg", state), tmp_path / "voice.onnx"
    left, right = generator(TINY).halo()
    done = melmill(checkpoint, "-o", out)
    assert done.exit_code == 0, done.stderr
    for words in (
        "family     pwg-hifigan", str(checkpoint), "config.yml; statistics", "12 means and scales, one a band",
        f"halo       {left} frames before, {right} after", f"wrote      {out}",
    ):  # fmt: skip
        assert words in done.stdout
    assert load_vocoder(str(out), runtime="onnxruntime").halo == (left, right)
    content = out.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["checkpoint-7steps.pkl", "config.yml", "stats.npy", "voice.onnx"]
    out.write_bytes(b"mine")
    again = melmill(checkpoint, "-o", out)
    assert (again.exit_code, out.read_bytes()) == (2, b"mine")
    assert "exists already; --force replaces it" in again.stderr
    assert melmill(checkpoint, "-o", out, "--force").exit_code == 0
    assert out.read_bytes() == content


def test_a_model_is_put_in_place_whole_or_not_at_all(state: State, tmp_path: Path) -> None:
    made = import_checkpoint(write_files(tmp_path, "jik876", state))
    out = tmp_path / "x.onnx"
    out.write_bytes(b"mine")
    with pytest.raises(ConfigError, match="is there already"):
        write_model(made.model, out)
    with pytest.raises(ConfigError, match="cannot be written"):
        write_model(made.model, tmp_path / "no folder" / "x.onnx")
    assert out.read_bytes() == b"mine"
    write_model(made.model, out, replace=True)
    assert load_vocoder(str(out)).spec == TINY.mel_spec()
    assert sorted(os.listdir(tmp_path)) == ["config.json", "g_02500000", "x.onnx"]


def test_a_file_that_comes_while_the_model_is_written_is_not_replaced(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, out = import_checkpoint(write_files(tmp_path, "jik876", state)), tmp_path / "x.onnx"
    monkeypatch.setattr(os, "fsync", lambda descriptor: out.write_bytes(b"theirs"))
    with pytest.raises(ConfigError, match="is there already"):
        write_model(made.model, out)
    assert out.read_bytes() == b"theirs"
    assert sorted(os.listdir(tmp_path)) == ["config.json", "g_02500000", "x.onnx"]


def test_the_same_checkpoint_gives_the_same_bytes(state: State, tmp_path: Path) -> None:
    checkpoint = write_files(tmp_path, "speechbrain", state)
    one, two = (import_checkpoint(checkpoint).model.SerializeToString(deterministic=True) for _ in range(2))
    assert one == two
