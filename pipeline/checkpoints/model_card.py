"""The card inside every ONNX model that melmill makes: the mels it takes, its geometry, the source of its weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.checkpoints.istft import Istft
from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec

KEY = "melmill"
VERSION = 1


@dataclass(frozen=True)
class Card:
    """What a model says about itself.

    Args:
        family: the architecture, such as "hifigan".
        spec: the contract of the mels that the model takes.
        halo: frames of context (left, right) that make a window's samples those of the whole mel.
        extra_samples: number of samples beyond a hop for each frame: the waveform has `frames * spec.hop_length +
            extra_samples` samples.
        frame_bytes: memory that decoding takes for each frame, without the weights [bytes].
        source: sha256 of the checkpoint file, hexadecimal.
        least_frames: length of the shortest mel that the model takes [frames]; above 1 if it mirrors the mel's ends.
        training: the record of melmill's own training, as JSON values; None for other models.
        istft: the transform from the model's spectrum to a waveform; None if the model gives a waveform itself.
    """

    family: str
    spec: MelSpec
    halo: tuple[int, int]
    extra_samples: int
    frame_bytes: int
    source: str
    least_frames: int = 1
    training: Mapping[str, Any] | None = None
    istft: Istft | None = None

    def to_json(self) -> str:
        """The card as JSON, the value of the key "melmill" in the model's metadata."""
        plain = {
            "version": VERSION,
            "family": self.family,
            "mel": self.spec.to_dict(),
            "hop": self.spec.hop_length,
            "halo": list(self.halo),
            "extra_samples": self.extra_samples,
            "frame_bytes": self.frame_bytes,
            "source": self.source,
        }
        if self.least_frames > 1:
            plain["least_frames"] = self.least_frames
        if self.training is not None:
            plain["training"] = dict(self.training)
        if self.istft is not None:
            plain["istft"] = dataclasses.asdict(self.istft)
        return json.dumps(plain, sort_keys=True)

    @classmethod
    def from_metadata(cls, metadata: Iterable[tuple[str, str]]) -> Card:
        """The card in a model's metadata.

        Args:
            metadata: every entry, as its key and its value.

        Raises:
            ConfigError: if there is no card, or it has another version or shape.
        """
        texts = [value for key, value in metadata if key == KEY]
        if len(texts) != 1:
            raise ConfigError(
                "it has no melmill metadata: if another tool made it, melmill vocoder import FILE --mel PRESET "
                "-o NAME.onnx makes a copy that can be used"
            )
        try:
            plain = json.loads(texts[0])
            if (version := plain["version"]) != VERSION:
                raise ConfigError(f"its melmill metadata has version {version!r:.40}; this melmill reads {VERSION}")
            left, right = plain["halo"]
            card = cls(
                family=str(plain["family"]),
                spec=MelSpec.from_dict(plain["mel"]),
                halo=(_count(left), _count(right)),
                extra_samples=int(plain["extra_samples"]),
                frame_bytes=_count(plain["frame_bytes"]),
                source=str(plain["source"]),
                least_frames=_count(plain.get("least_frames", 1)),
                training=plain.get("training"),
                istft=None if plain.get("istft") is None else Istft.from_dict(plain["istft"]),
            )
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise ConfigError(f"its melmill metadata is damaged ({type(error).__name__}: {error})") from error
        if card.istft is not None and card.istft.hop != card.spec.hop_length:
            raise ConfigError(
                f"its inverse STFT has a hop of {card.istft.hop} samples, its mels one of {card.spec.hop_length}"
            )
        return card


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r:.40} should be a whole number, 0 or more")
    return value
