"""Speech after a codec, by libsndfile alone: what recordings that were once compressed are like.

Opus: 24 kHz, the rate of its own that is next to the spec's, at about 20 kbit/s. Mu-law: 8 bits a sample (ITU-T G.711)
at the spec's rate, so that its noise is judged and not the band of a telephone.
"""

import io
from collections.abc import Callable

import numpy as np
import soundfile
import soxr
from tools.quality.speech import SPEC, Wave

OPUS_RATE = 24000
OPUS_COMPRESSION = 0.95
"""libsndfile's measure, 0 to 1; about 21 kbit/s were measured on a prompt (40 without it)."""


def opus(wave: Wave) -> Wave:
    """The waveform after Opus, `[samples] float32`, as long as it was."""
    high = soxr.resample(wave, SPEC.sample_rate, OPUS_RATE)
    coded = _through(high, OPUS_RATE, "OGG", "OPUS", compression_level=OPUS_COMPRESSION)
    return _fitted(soxr.resample(coded, OPUS_RATE, SPEC.sample_rate), len(wave))


def mu_law(wave: Wave) -> Wave:
    """The waveform after 8-bit mu-law, `[samples] float32`."""
    return _fitted(_through(wave, SPEC.sample_rate, "WAV", "ULAW"), len(wave))


CODECS: dict[str, tuple[Callable[[Wave], Wave], str, str]] = {
    "coded by Opus": (opus, "OGG", "OPUS"),
    "coded by 8-bit mu-law": (mu_law, "WAV", "ULAW"),
}
"""Kind of mel -> what codes a recording, and the container and the codec that libsndfile needs to have."""


def why_not(kind: str) -> str | None:
    """Why a kind cannot be made here; None if it can."""
    _, container, codec = CODECS[kind]
    if container in soundfile.available_formats() and codec in soundfile.available_subtypes(container):
        return None
    return f"{kind} is left out: libsndfile {soundfile.__libsndfile_version__} here has no {container} with {codec}"


def _through(wave: Wave, rate: int, container: str, codec: str, **how: float) -> Wave:
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format=container, subtype=codec, **how)
    file.seek(0)
    coded, found = soundfile.read(file, dtype="float32")
    assert found == rate
    return coded


def _fitted(wave: Wave, samples: int) -> Wave:
    return np.pad(wave[:samples], (0, max(0, samples - len(wave)))).astype(np.float32)
