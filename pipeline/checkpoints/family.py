"""What a family of checkpoints is: how its state dicts are recognized, and how a model is built from one."""

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
    """What is known about a checkpoint beside its weights.

    Args:
        values: the decoded config file; empty if there is none.
        where: the config file's name, for messages.
        mel: the contract that the user gave (`--mel`), which stands above the config's.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    where: str = "no config file"
    mel: MelSpec | None = None

    def section(self, title: str, *names: str) -> Mapping[str, Any]:
        """The mapping below those names, one after the other.

        Raises:
            ConfigError: if there is none.
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
        """The mels that the model takes: those that the user gave, else the config's own.

        Args:
            title: of the family, for messages.
            own: makes the contract from the config.
            n_mels: that the weights take.
            hop_length: samples that the weights make of a frame.

        Raises:
            ConfigError: if the contract is not that of the weights.
        """
        try:
            spec = own() if self.mel is None else self.mel
        except ConfigError as error:
            raise ConfigError(
                f"{title}: what mels it takes is not known: {self.where}: {error}. Give the config of this checkpoint "
                "with --config FILE, or its mels with --mel PRESET or --mel SPEC.yaml"
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
        name: as in `--family` and in the card of its models.
        title: what it is called in messages.
        matches: whether a state dict is one of it, by its keys and, where those are shared, by shapes.
        build: (state, settings, stats, source) -> a model `mel [batch, n_mels, frames] float32` ->
            `waveform [batch, samples] float32`, with its card. Stats are a normalization that came in a file of its
            own, or None; source is the sha256 of the checkpoint file, hexadecimal. Raises ConfigError (CheckpointError
            for what concerns the weights) in words for the user.
        takes_stats: whether such checkpoints come with statistics in a file of their own.
    """

    name: str
    title: str
    matches: Callable[[State], bool]
    build: Callable[[State, Settings, Normalization | None, str], onnx.ModelProto]
    takes_stats: bool = False
