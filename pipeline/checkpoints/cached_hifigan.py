"""The ONNX model of a HiFi-GAN checkpoint: built by the first run, taken from the cache by all others.

The model's name in the cache is computed without the builders and without the library `onnx`, which are imported only
for a checkpoint that has yet to be converted.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

from pipeline.checkpoints.hifigan_config import HifiganConfig
from pipeline.checkpoints.model_cache import cached
from pipeline.errors import CheckpointError

# Part of a cached model's name. Raise it when the builders make another model of the same checkpoint.
_BUILDER_VERSION = 3


def cached_hifigan(checkpoint: Path, config: Path) -> Path:
    """The ONNX model of a checkpoint, converted now or taken from the cache folder.

    Args:
        checkpoint: a torch file that holds {"generator": state dict}.
        config: the checkpoint's config.json.

    Raises:
        CheckpointError: if the checkpoint cannot be read, or does not fit its config.
        ConfigError: if the config is wrong, or the cache folder that `MELMILL_CACHE` names cannot be written.
    """
    settings = HifiganConfig.read(config)
    try:
        with checkpoint.open("rb") as file:
            source = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{checkpoint}: cannot be read: {error}") from error
    identity = json.dumps([_BUILDER_VERSION, source, dataclasses.asdict(settings)])
    name = f"hifigan-{hashlib.sha256(identity.encode()).hexdigest()[:32]}.onnx"

    def build() -> bytes:
        from pipeline.checkpoints.hifigan import convert_hifigan

        return convert_hifigan(checkpoint, settings, source)

    return cached(name, build)
