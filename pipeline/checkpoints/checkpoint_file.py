"""Checkpoint files of torch, safetensors and NeMo, and the state dict in them that holds the generator."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.checkpoints.state_dict import State, some
from pipeline.errors import CheckpointError
from pipeline.tensor_files import read_torch_file
from pipeline.tensor_files.files import MAX_FILE_BYTES
from pipeline.tensor_files.safetensors import read_safetensors

# NeMo, core/connectors/save_restore_connector.py: model_config_yaml and model_weights_ckpt.
_NEMO_CONFIG, _NEMO_WEIGHTS = "model_config.yaml", "model_weights.ckpt"
_MOST_MEMBERS = 1000
_MOST_CONFIG = 1 << 20
# For a gzipped .nemo: weights hardly shrink, so an archive that claims a higher ratio is refused.
_MOST_RATIO = 16
# Keys under which the projects keep a generator's state dict, outermost first: jik876's, BigVGAN's and
# ParallelWaveGAN's "generator", Coqui's and ParallelWaveGAN's "model", Lightning's "state_dict", DeepSpeed's "module".
# An average of the weights is taken where there is nothing else.
_WRAPPERS = ("generator", "model", "state_dict", "model_g", "net_g", "module", "ema", "model_ema", "state_dict_ema")


@dataclass(frozen=True)
class CheckpointFile:
    """What a checkpoint file holds.

    Args:
        state: the state dict that holds the generator; see `unwrapped`.
        config: text of the config inside the file, or None.
    """

    state: State
    config: str | None = None


def read_checkpoint(path: Path) -> CheckpointFile:
    """Reads the checkpoint of any of the known projects. Nothing in it is run.

    Args:
        path: the file, of `torch.save`, safetensors, or a .nemo archive. Its first bytes tell which.

    Raises:
        CheckpointError: if it is another kind of file, is damaged, asks for more than tensors in plain containers, or
            holds no state dict.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    if head[257:262] == b"ustar" or head[:2] == b"\x1f\x8b":
        return _read_nemo(path)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        return CheckpointFile(generator_state(read_safetensors(path), str(path)))
    return CheckpointFile(generator_state(read_torch_file(path), str(path)))


def generator_state(content: Any, where: str) -> State:
    """The state dict that holds the generator in the content of a checkpoint.

    Its keys may have the prefixes of wrappers, and those of discriminators may be among them: see `unwrapped`.

    Args:
        content: the decoded content of the checkpoint.
        where: the file's name, for messages.

    Raises:
        CheckpointError: if there is no generator.
    """
    path: list[str] = []
    while not _is_state(content):
        inner = next((name for name in _WRAPPERS if isinstance(content, dict) and name in content), None)
        if inner is None or not isinstance(content[inner], dict) or len(path) == 3:
            keys = some(sorted(map(str, content))) if isinstance(content, dict) else f"a {type(content).__name__}"
            below = f" under {'.'.join(path)}" if path else ""
            raise CheckpointError(
                f"{where}: there is no generator{below}: neither the content nor one of {', '.join(_WRAPPERS)} is a "
                f"state dict; found: {keys or 'nothing'}"
            )
        content = content[inner]
        path.append(inner)
    state: State = content
    return state


def _is_state(content: Any) -> bool:
    return (
        isinstance(content, Mapping)
        and len(content) > 0
        and all(isinstance(key, str) and isinstance(value, np.ndarray) for key, value in content.items())
    )


def _read_nemo(path: Path) -> CheckpointFile:
    try:
        config, weights = _nemo_members(path)
    except (tarfile.TarError, OSError, EOFError, ValueError, ArithmeticError) as error:
        raise CheckpointError(f"{path}: it is not a .nemo archive, or it is damaged ({error})") from error
    with tempfile.NamedTemporaryFile(prefix="melmill-", suffix=".ckpt") as file:
        file.write(weights)
        file.flush()
        try:
            content = read_torch_file(Path(file.name))
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {_NEMO_WEIGHTS}{str(error).removeprefix(file.name)}") from error
    try:
        text = config.decode()
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path}: its {_NEMO_CONFIG} is not text: {error}") from error
    return CheckpointFile(generator_state(content, f"{path}: {_NEMO_WEIGHTS}"), text)


def _nemo_members(path: Path) -> tuple[bytes, bytes]:
    """The config and the weights. Only these two members are read, and nothing is unpacked to a file."""
    limits = {_NEMO_CONFIG: _MOST_CONFIG, _NEMO_WEIGHTS: MAX_FILE_BYTES}
    bound = min(MAX_FILE_BYTES, _MOST_RATIO * path.stat().st_size + (1 << 20))
    found: dict[str, bytes] = {}
    with tarfile.open(path, "r|*") as archive:
        for count, member in enumerate(archive):
            if count == _MOST_MEMBERS or member.offset_data + member.size > bound:
                raise CheckpointError(
                    f"{path}: this archive is refused: it claims more than {bound} bytes or {_MOST_MEMBERS} members"
                )
            name = member.name.removeprefix("./")
            if name not in limits:
                continue
            if name in found or not member.isreg() or member.issparse() or member.size > limits[name]:
                raise CheckpointError(
                    f"{path}: this archive is refused: {name} is there twice, is not a plain file, or is too large"
                )
            content = archive.extractfile(member)
            found[name] = b"" if content is None else content.read(member.size)
    if missing := [name for name in limits if name not in found]:
        raise CheckpointError(f"{path}: this archive lacks {' and '.join(missing)}, which a .nemo file has")
    return found[_NEMO_CONFIG], found[_NEMO_WEIGHTS]
