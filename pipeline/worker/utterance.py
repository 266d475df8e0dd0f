"""One utterance on its way through a shard: its mel as the vocoder is given it, and its waveform as it is encoded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.encode import Encoder
from pipeline.audio.levels import Levels, examined
from pipeline.audio.master import Master
from pipeline.config import Job
from pipeline.dsp.mel_distance import MelDistance
from pipeline.errors import BadMelError, CorruptChunkError, UtteranceError
from pipeline.events.stopwatch import Stopwatch
from pipeline.evidence import STRETCH, middle, misfit
from pipeline.melspec import convert_mel
from pipeline.output.records import Failure, Row, Source
from pipeline.redaction import redacted
from pipeline.stores import MelStore, Utterance
from pipeline.stores.digests import MelDigest
from pipeline.vocoders import Vocoder
from pipeline.worker.attempt import Attempt
from pipeline.worker.reframing import Reframing
from pipeline.worker.sidecar import add_to_shard


class UtteranceMel:
    """An utterance's mel, read from the store and converted to the vocoder's contract.

    What is read also goes to the mel distance and to the digest of the content. A stretch of it is kept, and judged by
    the contract.

    Args:
        utterance: the utterance.
        store: the store that holds its mel.
        vocoder: the vocoder that decodes it.
        job: the job.
        watch: stopwatch that takes the time of each stage.
    """

    def __init__(self, utterance: Utterance, store: MelStore, vocoder: Vocoder, job: Job, watch: Stopwatch) -> None:
        self.utterance, self.store, self._spec, self.watch = utterance, store, vocoder.spec, watch
        self.reframing = Reframing.of(job.mel, self._spec, job.config.input.framing)
        self.frames = self.reframing.frames(utterance.frames)
        self.samples = vocoder.samples(self.frames)
        exact = job.config.input.framing == "exact"
        # If the framing differs, `Reframing` bridges it, and `convert_mel` must not see the difference.
        self._source = job.mel if exact else dataclasses.replace(job.mel, framing=self._spec.framing)
        self.distance = MelDistance(self._spec) if job.config.quality.mel_distance else None
        self._digest = MelDigest() if store.digest_is_of_content else None
        self._contract = job.mel
        self._judged = job.config.input.check_values
        self._stretch = middle(utterance.frames, STRETCH)
        self._kept: list[NDArray[np.float32]] = []

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Frames start .. stop, `[n_mels, stop - start] float32`. See `decode_mels`."""
        with self.watch.during("read"):
            stored = self.reframing.read(self._stored, self.utterance.frames, start, stop)
            mel = convert_mel(stored, self._source, self._spec)
        if self.distance is not None:
            with self.watch.during("examine"):
                self.distance.push_mel(mel[:, self.distance.mel_frames - start :])
        return mel

    def _stored(self, start: int, stop: int) -> NDArray[np.float32]:
        stored = self.store.read(self.utterance, start, stop)
        if self._digest is not None:
            self._digest.push(stored.T[self._digest.frames - start :])  # windows overlap
        if self._judged:
            self._keep(stored, start, stop)
        return stored

    def _keep(self, stored: NDArray[np.float32], start: int, stop: int) -> None:
        """Keep the part of the frames start .. stop that belongs to the stretch and is not kept yet."""
        first, last = self._stretch
        first += sum(part.shape[1] for part in self._kept)
        if start <= first < min(last, stop):
            self._kept.append(stored[:, first - start : last - start].copy())

    def check_digest(self) -> None:
        """Compare the content with its digest, after all frames were decoded.

        Raises:
            CorruptChunkError: if the mel is not the one that was listed.
        """
        utterance = self.utterance
        if self._digest is not None and self._digest.frames < utterance.frames:
            self._stored(self._digest.frames, utterance.frames)  # frames that the vocoder is not given
        if self._digest is not None and self._digest.finish().hex() != utterance.digest:
            raise CorruptChunkError(
                f"utterance {utterance.key!r}: the {utterance.frames} frames at {utterance.where} of {self.store.url} "
                f"are not those that were listed: their digest is not {utterance.digest}. The mel or the offsets were "
                "changed. Restore the store, or pack it again; if it was being written, run again"
            )

    def check_values(self) -> None:
        """Judge the stretch by the contract, after all frames were decoded.

        Raises:
            BadMelError: if the values cannot be of the contract.
        """
        if self._kept and (why := misfit(np.concatenate(self._kept, axis=1), self._contract)) is not None:
            raise BadMelError(
                f"utterance {self.utterance.key!r}: its values at {self.utterance.where} of {self.store.url} do not "
                f"fit the mel contract of the store: {why}. Compute this mel again. If it is right, pass "
                "--set input.check_values=false to melmill retry"
            )


def convert_utterance(
    mel: UtteranceMel, waveform: Iterable[NDArray[np.float32]], meta: dict[str, Any], job: Job, attempt: Attempt
) -> Row:
    """Examine, master and encode one utterance, and add it to the shard.

    Args:
        mel: the mel that the waveform is decoded from.
        waveform: the vocoder's output in pieces `[samples] float32`; decoded while it is iterated.
        meta: the utterance's metadata.
        job: the job.
        attempt: the attempt at the shard; takes the encoded audio.

    Returns:
        The utterance's row of the manifest.

    Raises:
        UtteranceError: if the utterance cannot be made.
    """
    utterance, output, watch = mel.utterance, job.config.output, mel.watch
    master = Master(output, job.mel.sample_rate, attempt.folder)
    with Encoder(output.codec, output.subtype, master.sample_rate, attempt.folder) as encoder:
        levels = _encode(mel, waveform, master, encoder)
        with watch.during("examine"):
            distance, relative = mel.distance.finish() if mel.distance is not None else (None, None)
        with watch.during("encode"):
            encoder.finish()
        row = Row(
            key=utterance.key,
            shard="",
            member="",
            offset=0,
            bytes=0,
            sample_rate=master.sample_rate,
            num_samples=levels.samples,
            duration=levels.samples / master.sample_rate,
            subtype=output.subtype,
            pcm_sha256=encoder.pcm_sha256,
            peak=levels.peak,
            rms_dbfs=levels.rms_dbfs,
            clipped=encoder.clipped,
            mel_distance=distance,
            mel_distance_relative=relative,
            source=Source(job.config.input.public_store, utterance.where, utterance.digest),
            meta=meta,
            over_full_scale=levels.over_full_scale,
            gain_db=master.gain_db,
            loudness=master.loudness,
        )
        with watch.during("encode"):
            return add_to_shard(row, encoder.encoded, job, attempt)


def _encode(mel: UtteranceMel, waveform: Iterable[NDArray[np.float32]], master: Master, encoder: Encoder) -> Levels:
    """Examine, master and encode the waveform, piece by piece. Returns its levels."""
    watch, levels = mel.watch, Levels()
    own = watch.timed("examine", examined(watch.timed("decode", waveform), mel.distance))
    for piece in watch.timed("encode", master.pieces(mel.reframing.trimmed(own, mel.samples))):
        with watch.during("examine"):
            levels.push(piece)
        with watch.during("encode"):
            encoder.push(piece)
    with watch.during("read"):
        mel.check_digest()
    with watch.during("examine"):
        mel.check_values()
    if not levels.samples:
        raise UtteranceError(
            f"{mel.utterance.frames} frames are too few: they give no sample. Remove the utterance from the store, or "
            "accept that it is quarantined"
        )
    return levels


def failure_of(utterance: Utterance, job: Job, error: Exception) -> Failure:
    """The record of an utterance that could not be made; its reason is without secrets."""
    source = Source(job.config.input.public_store, utterance.where, utterance.digest)
    return Failure(utterance.key, source, type(error).__name__, redacted(str(error)))
