"""A family of checkpoints: how its state dicts are recognized, and how a model is built from one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx

from pipeline.checkpoints.state_dict import State
from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec, Normalization


@dataclass(frozen=True)
class Settings:
    """What is known about a checkpoint besides its weights.

    Args:
        values: the decoded config file; empty if there is no config file.
        where: the config file's name, for messages.
        mel: the contract that the user gave (`--mel`), which overrides that of the config.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    where: str = "no config file"
    mel: MelSpec | None = None

    def section(self, title: str, *names: str) -> Mapping[str, Any]:
        """The mapping that is found by following those names, one after the other.

        Raises:
            ConfigError: if there is no mapping.
        """
        found: Any = self.values
        for name in names:
            found = found.get(name) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping):
            raise ConfigError(
                f"{title}: {self.where} has no {'.'.join(names)}; give the config of this checkpoint with --config FILE"
            )
        return found

    def contract(self, title: str, own: Callable[[], MelSpec], n_mels: int, hop_length: int) -> MelSpec:
        """The contract of the mels that the model takes: the one that the user gave, else that of the config.

        Args:
            title: name of the family, for messages.
            own: function that makes the contract from the config.
            n_mels: number of mel bands that the weights take.
            hop_length: number of samples that the weights make of a frame.

        Raises:
            ConfigError: if the contract does not fit the weights.
        """
        try:
            spec = own() if self.mel is None else self.mel
        except ConfigError as error:
            raise ConfigError(
                f"{title}: the mels that it takes are not known: {self.where}: {error}. Give the config of this "
                "checkpoint with --config FILE, or its mels with --mel PRESET or --mel SPEC.yaml"
            ) from error
        if (spec.n_mels, spec.hop_length) != (n_mels, hop_length):
            origin = self.where if self.mel is None else "--mel"
            raise ConfigError(
                f"{title}: the weights take {n_mels} mel bands and make {hop_length} samples of a frame; {origin} says "
                f"n_mels {spec.n_mels} and hop_length {spec.hop_length}; give the mels it was trained on with --mel"
            )
        return spec


@dataclass(frozen=True)
class Family:
    """A family of checkpoints.

    Args:
        name: name of the family, as in `--family` and in the card of its models.
        title: name of the family in messages.
        matches: function that tells by its keys, and where families share keys by shapes, whether a state dict belongs
            to the family.
        build: function (state, settings, stats, source) -> a model `mel [batch, n_mels, frames] float32` ->
            `waveform [batch, samples] float32`, with its card. Stats are a normalization that came in its own file, or
            None; source is the sha256 of the checkpoint file, hexadecimal. Raises ConfigError, or CheckpointError if
            the weights are wrong, with a message for the user.
        takes_stats: whether such checkpoints come with statistics in their own file.
    """

    name: str
    title: str
    matches: Callable[[State], bool]
    build: Callable[[State, Settings, Normalization | None, str], onnx.ModelProto]
    takes_stats: bool = False
