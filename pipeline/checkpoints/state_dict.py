"""State dicts of checkpoints: takes weights by name and shape, folds weight norm, and refuses unexplained keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CheckpointError

State = Mapping[str, NDArray[Any]]
"""A module's tensors by their dotted names."""

# Weight norm, as torch.nn.utils.parametrizations.weight_norm and torch.nn.utils.weight_norm name length and direction.
_PARAMETRIZED = (".parametrizations.weight.original0", ".parametrizations.weight.original1")
_HOOKED = (".weight_g", ".weight_v")


def layer_weight(state: State, name: str) -> NDArray[Any] | None:
    """The tensor that has the shape of a layer's weight, in any spelling of weight norm; None without such a layer."""
    keys = (name + ending for ending in (".weight", _HOOKED[1], _PARAMETRIZED[1]))
    return next((state[key] for key in keys if key in state), None)


class StateReader:
    """Takes the tensors that a model needs from a state dict, and then reports all that is wrong with it at once.

    Args:
        state: the state dict.
        title: name of the model in messages.
    """

    def __init__(self, state: State, title: str) -> None:
        self._state, self._title = state, title
        self._used: set[str] = set()
        self._missing: list[str] = []
        self._infinite: list[str] = []

    def has(self, key: str) -> bool:
        """Whether the state dict has that key."""
        return key in self._state

    @property
    def incomplete(self) -> bool:
        """Whether a tensor that was asked for is missing; tensors that are taken after that may be ones of any size."""
        return bool(self._missing)

    def take(self, key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The tensor of that key and shape, as float32. If it is missing, ones; `close` then reports it.

        Raises:
            CheckpointError: if it has another shape, or does not hold floats.
        """
        found = self._find(key, shape)
        return _ones(shape) if found is None else self._single(key, found)

    def weight(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The weight of a layer, as from `take`; the two tensors of weight norm are folded into one."""
        for length, direction in (_PARAMETRIZED, (".weight",) * 2, _HOOKED):
            if self.has(name + length) or self.has(name + direction):
                break
        else:
            length = direction = ".weight"
        if length == direction:
            return self.take(f"{name}.weight", shape)
        g = self._find(name + length, (shape[0], *(1 for _ in shape[1:])))
        v = self._find(name + direction, shape)
        return _ones(shape) if g is None or v is None else self._single(f"{name}.weight", folded(g, v))

    def ignore(self, keys: Iterable[str]) -> None:
        """Accept keys that the model does not need."""
        self._used.update(keys)

    def close(self) -> None:
        """Checks that every tensor was there and finite, and that no key is left over.

        Raises:
            CheckpointError: with the keys for which that is not so.
        """
        if self._missing:
            raise CheckpointError(f"{self._title}: the checkpoint lacks {some(self._missing)}")
        if unexpected := sorted(set(self._state) - self._used):
            raise CheckpointError(
                f"{self._title}: the checkpoint has keys that its config does not explain: {some(unexpected)}"
            )
        if self._infinite:
            bad = some(sorted(self._infinite))
            raise CheckpointError(
                f"{self._title}: weights are not finite (NaN, infinity, or a weight norm of zero): {bad}"
            )

    def _find(self, key: str, shape: tuple[int, ...]) -> NDArray[Any] | None:
        self._used.add(key)
        if key not in self._state:
            self._missing.append(key)
            return None
        found = self._state[key]
        if found.shape != shape or found.dtype.kind != "f":
            raise CheckpointError(
                f"{self._title}: {key} is {found.dtype} {found.shape}; the config asks for floats {shape}"
            )
        return found

    def _single(self, name: str, values: NDArray[Any]) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):
            single = values.astype(np.float32)
        if not np.isfinite(single).all():
            self._infinite.append(name)
        return single


def _ones(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Ones as a view of a single one: the shape comes from the config, so it must not take memory."""
    return np.broadcast_to(np.float32(1), shape)


def folded(g: NDArray[Any], v: NDArray[Any]) -> NDArray[np.float64]:
    """w = g v / ||v||, the norm over all axes but the first: torch.nn.utils.weight_norm with dim 0.

    The squares are summed one position after the other: numpy's sum along a contiguous axis depends on the machine's
    vector width, and the model's digest must not depend on it.

    Args:
        g: lengths, `[rows, 1, ...]` floats.
        v: directions, `[rows, ...]` floats.

    Returns:
        `[rows, ...] float64`; NaN where the norm is 0.
    """
    direction = v.astype(np.float64)
    squares = np.ascontiguousarray(np.square(direction).reshape(len(v), -1).T)
    norm = np.sqrt(np.add.reduce(squares, axis=0)).reshape(-1, *(1 for _ in v.shape[1:]))
    with np.errstate(divide="ignore", invalid="ignore"):
        weight: NDArray[np.float64] = g.astype(np.float64) * direction / norm
    return weight


def some(names: list[str]) -> str:
    """The first five names, each cut to 60 characters, and the number of the others."""
    return ", ".join(name[:60] for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
