"""One mel at once, for Python users."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import BadMelError
from pipeline.melspec import MelSpec
from pipeline.vocoders.registry import DEFAULT_VOCODER, load_vocoder
from pipeline.vocoders.windows import decode_windows


def vocode(mel: ArrayLike, vocoder: str = DEFAULT_VOCODER, spec: MelSpec | None = None) -> NDArray[np.float32]:
    """The waveform of one mel.

    Args:
        mel: `[n_mels, frames]`, finite, in the values that the vocoder takes.
        vocoder: as in `load_vocoder`.
        spec: the mel's contract; griffin-lim needs it.

    Returns:
        `[samples] float32`.

    Raises:
        BadMelError: if the mel has another shape than the vocoder takes, no frames, or NaN or infinite values.
        ConfigError: if there is no such vocoder.
    """
    values = np.asarray(mel, np.float32)
    loaded = load_vocoder(vocoder, spec)
    bands = loaded.spec.n_mels
    if values.ndim != 2 or values.shape[0] != bands or not values.shape[1]:
        raise BadMelError(f"the mel has shape {list(values.shape)}; {loaded.name} takes [{bands}, frames]")
    if not np.isfinite(values).all():
        band, frame = np.argwhere(~np.isfinite(values))[0].tolist()
        raise BadMelError(f"the mel holds {values[band, frame]} in band {band}, frame {frame}")
    pieces = decode_windows(loaded, lambda start, stop: values[:, start:stop], values.shape[1])
    return np.concatenate(list(pieces))
