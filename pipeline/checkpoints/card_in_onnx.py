"""Writes the card into the metadata of an ONNX model, and reads it from there."""

from __future__ import annotations

import onnx

from pipeline.checkpoints.model_card import KEY, Card


def write_card(model: onnx.ModelProto, card: Card) -> None:
    """Replaces the model's metadata with the card."""
    onnx.helper.set_model_props(model, {KEY: card.to_json()})


def read_card(model: onnx.ModelProto) -> Card:
    """The card that `write_card` put there.

    Raises:
        ConfigError: if the model has no card, or a damaged one.
    """
    return Card.from_metadata((entry.key, entry.value) for entry in model.metadata_props)
