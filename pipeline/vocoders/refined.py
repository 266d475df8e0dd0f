"""Any net's waveform brought nearer to the mel that it was made from: a vocoder around a vocoder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.phase import why_not_invertible
from pipeline.dsp.refinement import refined, refinement_halo, refinement_memory
from pipeline.errors import ConfigError
from pipeline.kernels.target import available
from pipeline.melspec import MelOrigin, MelSpec
from pipeline.vocoders.base import Backend, BatchVocoder, CompiledVocoder, Vocoder, Window

MOST_REFINEMENTS = 8
"""Largest number of projections."""
REFINEMENTS: Mapping[MelOrigin, float] = {"recorded": 0.8, "predicted": 0.0}
"""Numbers of projections that suit mels of each origin; docs/explanation/vocoders.md has the figures."""
# Raise it whenever the same waveform of a net gives other samples.
_ALGORITHM = 1


class Refined:
    """A `Vocoder` that projects the waveform of a net onto its mel, some times; see `pipeline.dsp.refinement`.

    A window's samples are those of the whole mel as far as the net's own are: the halo is that of the net and that of
    the projections. It takes batches if the net does.

    Args:
        net: the vocoder whose waveforms are refined.
        refine: number of projections, more than 0 and up to `MOST_REFINEMENTS`; with a fraction as in `refined`.

    Raises:
        ConfigError: if kernels cannot be compiled here, or no waveform can be made from mels of the net's contract.
    """

    def __init__(self, net: Vocoder, refine: float) -> None:
        assert 0 < refine <= MOST_REFINEMENTS, refine
        if (why := why_not_refined(net.spec)) is not None:
            raise ConfigError(f"vocoder.refine: {net.name} cannot be refined: {why}. Set vocoder.refine to 0")
        self.net, self.refine = net, refine
        self.name, self.spec, self.window = net.name, net.spec, net.window
        self.digest = _digest(net.digest, refine)
        self._around = refinement_halo(self.spec, refine)
        # A net of centred frames may end a hop before its last frame's; then the projections end there, too.
        ends_before = 2 - net.samples(2) // self.spec.hop_length
        self.halo = self._around + net.halo[0], self._around + max(net.halo[1], ends_before)

    @property
    def with_own(self) -> RefinedAndOwn:
        """The same vocoder, which also gives the net's own waveforms."""
        return RefinedAndOwn(self.net, self.refine)

    @property
    def backend(self) -> Backend:
        """See `Vocoder.backend`: that of the net."""
        backend = self.net.backend
        elsewhere = {_digest(digest, self.refine): words for digest, words in backend.elsewhere.items()}
        return dataclasses.replace(backend, elsewhere=elsewhere, refine=self.refine)

    @property
    def shared_memory(self) -> int:
        """See `Vocoder.shared_memory`."""
        return self.net.shared_memory

    def samples(self, frames: int) -> int:
        """Length of the waveform of `frames` frames [samples]."""
        return self.net.samples(frames)

    def memory(self, frames: int) -> int:
        """See `Vocoder.memory`. The net's own memory stays while its waveform is refined."""
        return self.net.memory(frames) + refinement_memory(self.spec, frames)

    def prepare(self) -> None:
        """Compiles the code of the net and of the projections if this machine does not have it yet."""
        if isinstance(self.net, CompiledVocoder):
            self.net.prepare()
        silence = np.zeros((self.spec.n_mels, 1), np.float32)
        refined(np.zeros(self.spec.hop_length, np.float32), silence, self.spec, 1)

    def decode(self, mel: NDArray[np.float32], window: Window | None = None) -> NDArray[np.float32]:
        """See `Vocoder.decode`. Errors are those of the net."""
        waveform: NDArray[np.float32] = self._refined_and_own(mel, window)[0]
        return waveform

    def batch(self, frames: int) -> int:
        """See `BatchVocoder.batch`; 1 if the net takes no batches."""
        return self.net.batch(frames) if isinstance(self.net, BatchVocoder) else 1

    def decode_batch(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `BatchVocoder.decode_batch`. The net takes all mels at once, the projections one after the other."""
        return self._batch_refined_and_own(mels)[:, 0]

    def _refined_and_own(self, mel: NDArray[np.float32], window: Window | None) -> NDArray[np.float32]:
        """The refined waveform and the net's own of a window's core, `[2, samples] float32`."""
        window = window or Window.whole(mel.shape[-1])
        start = max(window.start, window.core_start - self._around)
        stop = min(window.stop, window.core_stop + self._around)
        own = self.net.decode(mel, dataclasses.replace(window, core_start=start, core_stop=stop))
        core = dataclasses.replace(window, start=start, stop=stop)
        return core.core(self._both(own, mel[:, start - window.start : stop - window.start]), self.spec.hop_length)

    def _batch_refined_and_own(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Both waveforms of each mel, `[batch, 2, samples] float32`."""
        if not isinstance(self.net, BatchVocoder):
            return np.stack([self._refined_and_own(mel, None) for mel in mels])
        return np.stack([self._both(own, mel) for own, mel in zip(self.net.decode_batch(mels), mels, strict=True)])

    def _both(self, own: NDArray[np.float32], mel: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.stack([refined(own, mel, self.spec, self.refine), own])


class RefinedAndOwn(Refined):
    """A `Refined` whose waveforms have two rows, `[2, samples] float32`: the refined one and the net's own."""

    def decode(self, mel: NDArray[np.float32], window: Window | None = None) -> NDArray[np.float32]:
        """Both waveforms of a window's core; see `Refined.decode`."""
        return self._refined_and_own(mel, window)

    def decode_batch(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Both waveforms of each mel, `[batch, 2, samples] float32`; see `Refined.decode_batch`."""
        return self._batch_refined_and_own(mels)


def why_not_refined(spec: MelSpec) -> str | None:
    """Why no waveform can be projected onto mels of a contract, as text; None if it can, on this machine."""
    target = available()
    if isinstance(target, str):
        return f"the projections are compiled when they are used, which is not possible here: {target}"
    why = why_not_invertible(spec)
    return None if why is None else f"the mels that it takes cannot be inverted: {why}"


def other_refinements(vocoder: Vocoder) -> dict[str, str]:
    """Digest of the same vocoder with each other number of projections -> how its shards are kept, as text."""
    net, refine = (vocoder.net, vocoder.refine) if isinstance(vocoder, Refined) else (vocoder, 0)
    others = (other for other in sorted({*range(MOST_REFINEMENTS + 1), *REFINEMENTS.values()}) if other != refine)
    return {
        _digest(net.digest, other) if other else net.digest: (
            f"the same net, {'refined' if other else 'not refined'}; --set vocoder.refine={other} keeps these shards"
        )
        for other in others
    }


def _digest(net: str, refine: float) -> str:
    whole = int(refine)
    parts = ["refined", _ALGORITHM, net, whole if whole == refine else refine]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
