"""Prefixes of wrappers on the keys of a checkpoint are taken off, in every family; which one is never guessed."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.checkpoint_files import TINY, nemo_bytes, renamed, safetensors_bytes, torch_bytes, write_files
from support.families import CONFIGS, random_weights
from support.hifigans import random_state

from pipeline.checkpoints.key_prefixes import unwrapped
from pipeline.checkpoints.known_families import FAMILIES, recognize
from pipeline.errors import CheckpointError
from pipeline.workshop.import_checkpoint import import_checkpoint

STATES = {name: random_weights(name) for name in CONFIGS}
_HIFIGAN = random_state(TINY)
STATES["speecht5-hifigan"] = renamed(_HIFIGAN, ("ups.", "upsampler."))
STATES["pwg-hifigan"] = renamed(
    _HIFIGAN, ("ups.0.", "upsamples.0.1."), ("conv_pre.", "input_conv."), ("conv_post.", "output_conv.1.")
)
PREFIXES = [
    "module.", "_orig_mod.", "_fsdp_wrapped_module.", "generator.", "model.", "ema.", "module._orig_mod.",
    "_orig_mod.module.", "generator.module.", "model.generator._orig_mod.", "module.model_g.", "ema_model.module.",
    "_forward_module.", "averaged_model.module.", "state_dict.gen.", "G.",
]  # fmt: skip


def fits(state):
    return any(each.matches(state) for each in FAMILIES)


@pytest.mark.parametrize("family", STATES)
@pytest.mark.parametrize("prefix", ["", *PREFIXES])
def test_prefixes_are_taken_off_in_every_family(family: str, prefix: str) -> None:
    state = STATES[family]
    found = unwrapped({prefix + key: value for key, value in state.items()}, fits, "here.pth")
    assert found.keys() == state.keys()
    assert all(found[key] is state[key] for key in state)
    assert recognize(found, "here.pth").name == family


def test_all_families_are_tried() -> None:
    assert set(STATES) == {each.name for each in FAMILIES}


def test_a_compiled_part_of_a_model_is_taken_off_inside_its_keys() -> None:
    state = {key.replace("conv_pre.", "conv_pre._orig_mod."): value for key, value in STATES["hifigan"].items()}
    assert state.keys() != STATES["hifigan"].keys()
    assert unwrapped(state, fits, "here.pth").keys() == STATES["hifigan"].keys()


def beside(first: str, second: str) -> dict[str, np.ndarray]:
    return {prefix + key: value for prefix in (first, second) for key, value in STATES["hifigan"].items()}


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ("generator.", "ema.", "'ema.', 'generator.'"),
        ("", "module.", "no prefix, 'module.'"),
        ("model.generator.", "model.ema.", "'model.ema.', 'model.generator.'"),
    ],
)
def test_two_generators_are_refused_with_their_prefixes(first: str, second: str, named: str) -> None:
    with pytest.raises(
        CheckpointError, match=rf"here\.pth: .* under several prefixes: {named}\. melmill does not choose"
    ):
        unwrapped(beside(first, second), fits, "here.pth")
    with pytest.raises(CheckpointError, match="is there twice"):
        unwrapped(beside("", "_orig_mod."), fits, "here.pth")


def test_a_discriminator_beside_the_generator_is_dropped_and_other_keys_are_not() -> None:
    state, extra = STATES["hifigan"], np.ones(1, np.float32)
    named = {**{f"module.generator.{key}": value for key, value in state.items()}, "module.mpd.w": extra}
    assert unwrapped(named, fits, "here.pth").keys() == state.keys()
    averaged = {**{f"module.{key}": value for key, value in state.items()}, "n_averaged": extra}
    assert unwrapped(averaged, fits, "here.pth").keys() == state.keys()
    half = {**averaged, "other.w": extra}
    assert unwrapped(half, fits, "here.pth").keys() == state.keys() | {"other.w"}


def test_too_many_prefixes_are_refused() -> None:
    words = ("module", "model", "generator", "ema")
    state = {f"{a}.{b}.{c}.{d}.w": np.ones(1) for a in words for b in words for c in words for d in words}
    with pytest.raises(CheckpointError, match="too many prefixes"):
        unwrapped(state, fits, "here.pth")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_kind_of_file_with_prefixes_gives_the_model_without(prefix: str, tmp_path: Path) -> None:
    wrapped = {prefix + key: value for key, value in _HIFIGAN.items()}
    plain = import_checkpoint(write_files(tmp_path, "jik876", _HIFIGAN))
    contents = {
        "g_00000001": torch_bytes({"generator": wrapped}),
        "state.pt": torch_bytes(wrapped),
        "deepspeed.pt": torch_bytes({"module": wrapped}),
        "model.safetensors": safetensors_bytes(wrapped),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        made = import_checkpoint(tmp_path / name)
        assert made.family.name == "hifigan"
        assert list(made.model.graph.initializer) == list(plain.model.graph.initializer), name
        assert list(made.model.graph.node) == list(plain.model.graph.node), name


def test_a_nemo_archive_of_a_compiled_model_is_read(tmp_path: Path) -> None:
    wrapped = {f"generator._orig_mod.{key}": value for key, value in _HIFIGAN.items()}
    config = json.dumps({"generator": {}}).encode()
    (tmp_path / "v.nemo").write_bytes(
        nemo_bytes({"model_config.yaml": config, "model_weights.ckpt": torch_bytes(wrapped)})
    )
    write_files(tmp_path, "jik876", _HIFIGAN)
    assert import_checkpoint(tmp_path / "v.nemo", tmp_path / "config.json").family.name == "hifigan"
