"""Imports a user's checkpoint: finds the files beside it, recognizes its family, and builds an ONNX model."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import onnx

from pipeline.checkpoints.card_in_onnx import read_card
from pipeline.checkpoints.checkpoint_file import read_checkpoint
from pipeline.checkpoints.config_file import CONFIG_NAMES, parse_config, read_config
from pipeline.checkpoints.family import Family, Settings
from pipeline.checkpoints.key_prefixes import unwrapped
from pipeline.checkpoints.known_families import FAMILIES, family, recognize
from pipeline.checkpoints.model_card import Card
from pipeline.checkpoints.state_dict import some
from pipeline.checkpoints.stats_file import STATS_NAMES, read_stats
from pipeline.errors import CheckpointError, ConfigError
from pipeline.melspec import MelSpec, Normalization
from pipeline.storage.atomic import atomic_write

_SUFFIXES = {".safetensors", ".bin", ".ckpt", ".nemo", ".pt", ".pth", ".tar", ".pkl"}
# If a folder of Hugging Face holds both, the first is read, which can hold only tensors.
_SAFEST, _SAME = "model.safetensors", "pytorch_model.bin"
# A key that marks the config.json in SpeechBrain's folders on Hugging Face: it does not hold a model's settings, which
# are in hyperparams.yaml.
_NO_CONFIG = "speechbrain_interface"


@dataclass(frozen=True)
class Imported:
    """A model that was made from a checkpoint.

    Args:
        model: the ONNX model.
        card: card of the model.
        family: family of the checkpoint.
        checkpoint: the file that was read.
        config: description of where the settings came from.
        stats: the file of the normalization, or None.
        parameters: number of weights in the model.
    """

    model: onnx.ModelProto
    card: Card
    family: Family
    checkpoint: Path
    config: str
    stats: Path | None
    parameters: int


def import_checkpoint(
    checkpoint: Path,
    config: Path | None = None,
    stats: Path | None = None,
    family_name: str | None = None,
    mel: MelSpec | None = None,
) -> Imported:
    """Reads a checkpoint, recognizes its family by its keys, and builds a model. Nothing in the checkpoint runs.

    Args:
        checkpoint: the checkpoint's file, or a folder that holds one.
        config: the checkpoint's config; if None, it is looked for beside (`CONFIG_NAMES`) and inside the checkpoint.
        stats: a file with the mean and scale of the mels; if None and the family has such a file, it is looked for
            beside the checkpoint (`STATS_NAMES`).
        family_name: name of the family; recognized if None.
        mel: the contract of the mels; that of the config if None.

    Raises:
        ConfigError: if the config or the statistics cannot be read, or lack what is needed.
        CheckpointError: if the checkpoint cannot be read, holds more than tensors, belongs to no known family, or does
            not fit its config.
    """
    chosen = None if family_name is None else family(family_name)
    path = _file_of(checkpoint)
    file = read_checkpoint(path)
    families = FAMILIES if chosen is None else (chosen,)
    state = unwrapped(file.state, lambda state: any(each.matches(state) for each in families), str(path))
    found = chosen or recognize(state, str(path))
    settings = _settings(path, config, file.config, mel)
    stats_path = stats
    if stats is None and found.takes_stats:
        stats_path = next((path.parent / name for name in STATS_NAMES if (path.parent / name).is_file()), None)
    if stats is not None and not found.takes_stats:
        raise ConfigError(f"--stats {stats}: {found.title} does not use statistics")
    normalization: Normalization | None = None if stats_path is None else read_stats(stats_path)
    with path.open("rb") as content:
        source = hashlib.file_digest(content, "sha256").hexdigest()
    try:
        model = found.build(state, settings, normalization, source)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error} ({settings.where})") from error
    return Imported(model, read_card(model), found, path, settings.where, stats_path, _parameters(model))


def write_model(model: onnx.ModelProto, path: Path, replace: bool = False) -> None:
    """Writes a model to a file, completely or not at all. The same model gives the same bytes.

    Args:
        model: the model.
        path: the file.
        replace: whether a file of that name may be replaced.

    Raises:
        ConfigError: if the file exists and may not be replaced, or if it cannot be written.
    """
    exists = f"{path} is there already; --force replaces it"
    if not replace and path.exists():
        raise ConfigError(exists)
    try:
        content = model.SerializeToString(deterministic=True)
        with atomic_write(path, replace) as file:
            file.write(content)
    except FileExistsError as error:
        raise ConfigError(exists) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error}") from error
    except ValueError as error:  # protobuf's bound of 2 GB
        raise ConfigError(f"{path} cannot be written: the model is too large: {error}") from error


def _file_of(checkpoint: Path) -> Path:
    if not checkpoint.is_dir():
        return checkpoint
    try:
        names = sorted(each.name for each in checkpoint.iterdir() if each.is_file() and _like_weights(each))
    except OSError as error:
        raise CheckpointError(f"{checkpoint}: cannot be read: {error}") from error
    if _SAFEST in names:
        names = [name for name in names if name != _SAME]
    if len(names) != 1:
        which = f"several files may be the checkpoint: {some(names)}" if names else "this folder has no checkpoint"
        raise CheckpointError(f"{checkpoint}: {which}; name the file itself")
    return checkpoint / names[0]


def _like_weights(path: Path) -> bool:
    return path.suffix in _SUFFIXES or (path.name.startswith("g_") and not path.suffix)


def _settings(path: Path, config: Path | None, inside: str | None, mel: MelSpec | None) -> Settings:
    if config is not None:
        return Settings(read_config(config), str(config), mel)
    if inside is not None:
        where = f"the config inside {path}"
        return Settings(parse_config(inside, where), where, mel)
    for name in CONFIG_NAMES:
        if (beside := path.parent / name).is_file():
            values = read_config(beside)
            if _NO_CONFIG not in values:
                return Settings(values, str(beside), mel)
    return Settings({}, f"no config file beside it ({', '.join(CONFIG_NAMES)})", mel)


def _parameters(model: onnx.ModelProto) -> int:
    floats = (tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT)
    return sum(math.prod(tensor.dims) for tensor in floats if tensor.dims)
