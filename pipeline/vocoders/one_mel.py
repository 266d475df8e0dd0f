"""The waveform of one mel, for users of Python."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import BadMelError
from pipeline.melspec import MelOrigin, MelSpec
from pipeline.vocoders.registry import DEFAULT_VOCODER, load_vocoder
from pipeline.vocoders.windows import decode_windows


def vocode(
    mel: ArrayLike,
    vocoder: str = DEFAULT_VOCODER,
    spec: MelSpec | None = None,
    refine: float | Literal["auto"] = 0,
    mels: MelOrigin = "recorded",
) -> NDArray[np.float32]:
    """The waveform of one mel.

    Args:
        mel: `[n_mels, frames]`, finite, in the values that the vocoder takes.
        vocoder: name of the vocoder, as in `load_vocoder`.
        spec: contract of the mel. griffin-lim needs it, and lift takes its framing from it; other vocoders ignore it,
            and take mels of their own contract only.
        refine: number of projections of a net's waveform onto the mel, as in `load_vocoder`.
        mels: what the mel is of, as in `load_vocoder`.

    Returns:
        `[samples] float32`.

    Raises:
        BadMelError: if the mel does not have the shape that the vocoder takes, has no frames, or holds NaN or infinity.
        ConfigError: if there is no vocoder of that name, or it cannot be refined.
    """
    values = np.asarray(mel, np.float32)
    loaded = load_vocoder(vocoder, spec, refine=refine, mels=mels)
    bands = loaded.spec.n_mels
    if values.ndim != 2 or values.shape[0] != bands or not values.shape[1]:
        raise BadMelError(f"the mel has shape {list(values.shape)}; {loaded.name} takes [{bands}, frames]")
    if not np.isfinite(values).all():
        band, frame = np.argwhere(~np.isfinite(values))[0].tolist()
        raise BadMelError(f"the mel holds {values[band, frame]} in band {band}, frame {frame}")
    pieces = decode_windows(loaded, lambda start, stop: values[:, start:stop], values.shape[1])
    return np.concatenate(list(pieces))
