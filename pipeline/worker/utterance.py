"""One utterance on its way through a shard: its mel as the vocoder is given it, and its waveform as it is encoded."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator
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
from pipeline.melspec import Conversion
from pipeline.output.not_measured import NO_DISTANCE
from pipeline.output.records import Failure, Row, Source
from pipeline.redaction import redacted
from pipeline.stores import MelStore, Utterance
from pipeline.stores.digests import MelDigest
from pipeline.vocoders import Vocoder
from pipeline.worker.attempt import Attempt
from pipeline.worker.reframing import Reframing
from pipeline.worker.sidecar import add_to_shard

_TOGETHER_FRAMES = 2048
"""Number of frames of short utterances that are read together: 0.7 MB of 80 bands."""


class ShardMels:
    """What the mels of a shard's utterances have in common; the contracts of store and vocoder are compared once.

    Args:
        store: the store that holds the mels.
        vocoder: the vocoder that decodes them.
        job: the job.
        watch: stopwatch that takes the time of reading.

    Raises:
        ContractError: if the store's mels cannot be converted for the vocoder.
    """

    def __init__(self, store: MelStore, vocoder: Vocoder, job: Job, watch: Stopwatch) -> None:
        self.store, self.job, self.watch = store, job, watch
        self.samples, self.spec = vocoder.samples, vocoder.spec
        framing = job.config.input.framing
        self.reframing = Reframing.of(job.mel, self.spec, framing)
        # If the framing differs, `Reframing` bridges it, and the conversion must not see the difference.
        source = job.mel if framing == "exact" else dataclasses.replace(job.mel, framing=self.spec.framing)
        self.conversion = Conversion.between(source, self.spec)
        self._public_store = job.config.input.public_store

    def of(self, utterances: Iterable[Utterance]) -> Iterator[UtteranceMel]:
        """The mels of utterances. Short ones are read and examined some at a time, since code that runs again is fast.

        Memory holds the mels of `_TOGETHER_FRAMES` frames.
        """
        together: list[UtteranceMel] = []
        frames = 0
        for utterance in utterances:
            mel = UtteranceMel(utterance, self)
            together.append(mel)
            frames += mel.frames
            if frames > _TOGETHER_FRAMES or not mel.read_whole():
                yield from together
                together, frames = [], 0
        yield from together

    def source(self, utterance: Utterance) -> Source:
        """Where an utterance's mel comes from."""
        return Source(self._public_store, utterance.where, utterance.digest)


class UtteranceMel:
    """An utterance's mel, read from the store and converted to the vocoder's contract.

    What was read is examined later, when the waveform is: it goes to the mel distance and to the digest of the content,
    and a stretch of it is kept, and judged by the contract.

    Args:
        utterance: the utterance.
        shard: what it has in common with the other mels of its shard.
    """

    def __init__(self, utterance: Utterance, shard: ShardMels) -> None:
        self.utterance, self.shard = utterance, shard
        self.frames = shard.reframing.frames(utterance.frames)
        self.samples = shard.samples(self.frames)
        measured, refined = shard.job.config.quality.mel_distance, shard.job.config.vocoder.refinements > 0
        self.distance = MelDistance(shard.spec) if measured else None
        self.own_distance = MelDistance(shard.spec) if measured and refined else None
        self._digest = MelDigest() if shard.store.digest_is_of_content else None
        self._stretch = middle(utterance.frames, STRETCH) if shard.job.config.input.check_values else (0, 0)
        self._kept: list[NDArray[np.float32]] = []
        # What was read and is not examined yet, each with its first frame; another thread may read.
        self._stored: deque[tuple[int, NDArray[np.float32]]] = deque()
        self._converted: deque[tuple[int, NDArray[np.float32]]] = deque()
        self._whole: NDArray[np.float32] | Exception | None = None
        self._checked = False

    def read_whole(self) -> bool:
        """Read and examine all frames now, if they are few. An error is raised when they are asked for."""
        if not 0 < self.frames <= _TOGETHER_FRAMES:
            return False
        try:
            self._whole = self.read(0, self.frames)
            with self.shard.watch.during("examine"):
                self.check()
        except Exception as error:  # of this utterance; the others are read
            self._whole = error
        return True

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Frames start .. stop, `[n_mels, stop - start] float32`. See `decode_mels`."""
        if self._whole is not None:
            if isinstance(self._whole, Exception):
                raise self._whole
            return np.ascontiguousarray(self._whole[:, start:stop])
        with self.shard.watch.during("read"):
            stored = self.shard.reframing.read(self._read, self.utterance.frames, start, stop)
            mel = self.shard.conversion.apply(stored)
        self._converted.append((start, mel))
        return mel

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        stored = self.shard.store.read(self.utterance, start, stop)
        self._stored.append((start, stored))
        return stored

    def examine(self) -> None:
        """Examine what was read since. Windows overlap: of each, the frames that no earlier one had."""
        while self._stored:
            start, stored = self._stored.popleft()
            if self._digest is not None:
                self._digest.push(stored.T[self._digest.frames - start :])
            self._keep(stored, start)
        while self._converted:
            start, mel = self._converted.popleft()
            for distance in (self.distance, self.own_distance):
                if distance is not None:
                    distance.push_mel(mel[:, distance.mel_frames - start :])

    def _keep(self, stored: NDArray[np.float32], start: int) -> None:
        """Keep the part of the frames from `start` on that belongs to the stretch and is not kept yet."""
        first, last = self._stretch
        first += sum(part.shape[1] for part in self._kept)
        if start <= first < min(last, start + stored.shape[1]):
            self._kept.append(stored[:, first - start : last - start])

    def check(self) -> None:
        """Compare the content with its digest, and judge its values, once all frames were read.

        Raises:
            CorruptChunkError, BadMelError: see `_check_digest` and `_check_values`.
        """
        if not self._checked:
            self.examine()
            self._check_digest()
            self._check_values()
            self._checked = True

    def _check_digest(self) -> None:
        """Compare the content with its digest.

        Raises:
            CorruptChunkError: if the mel is not the one that was listed.
        """
        utterance, store = self.utterance, self.shard.store
        if self._digest is not None and self._digest.frames < utterance.frames:
            self._read(self._digest.frames, utterance.frames)  # frames that the vocoder is not given
            self.examine()
        if self._digest is not None and self._digest.finish().hex() != utterance.digest:
            raise CorruptChunkError(
                f"utterance {utterance.key!r}: the {utterance.frames} frames at {utterance.where} of {store.url} "
                f"are not those that were listed: their digest is not {utterance.digest}. The mel or the offsets were "
                "changed. Restore the store, or pack it again; if it was being written, run again"
            )

    def _check_values(self) -> None:
        """Judge the stretch by the contract.

        Raises:
            BadMelError: if the values cannot be of the contract.
        """
        if not self._kept:
            return
        shard, stretch = self.shard, self._kept[0] if len(self._kept) == 1 else np.concatenate(self._kept, axis=1)
        if (why := misfit(stretch, shard.job.mel)) is not None:
            raise BadMelError(
                f"utterance {self.utterance.key!r}: its values at {self.utterance.where} of {shard.store.url} do not "
                f"fit the mel contract of the store: {why}. Compute this mel again. If it is right, pass "
                "--set input.check_values=false to melmill retry"
            )


def convert_utterance(
    mel: UtteranceMel, waveform: Iterable[NDArray[np.float32]], meta: dict[str, Any], attempt: Attempt, watch: Stopwatch
) -> Row:
    """Examine, master and encode one utterance, and add it to the shard.

    Args:
        mel: the mel that the waveform is decoded from.
        waveform: the vocoder's output in pieces `[samples] float32`, or `[2, samples]` where a net's waveform is
            refined, the second row its own; decoded while it is iterated.
        meta: the utterance's metadata.
        attempt: the attempt at the shard; takes the encoded audio.
        watch: stopwatch that takes the time of each stage.

    Returns:
        The utterance's row of the manifest.

    Raises:
        UtteranceError: if the utterance cannot be made.
    """
    job = mel.shard.job
    output = job.config.output
    master = Master(output, job.mel.sample_rate, attempt.folder)
    with Encoder(output.codec, output.subtype, master.sample_rate, attempt.folder) as encoder:
        levels = _encode(mel, waveform, master, encoder, watch)
        with watch.during("examine"):
            distance, relative = mel.distance.finish() if mel.distance is not None else (None, None)
            own_distance = mel.own_distance.finish()[0] if mel.own_distance is not None else NO_DISTANCE
        with watch.during("encode"):
            encoder.finish()
            row = Row(
                key=mel.utterance.key,
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
                source=mel.shard.source(mel.utterance),
                meta=meta,
                over_full_scale=levels.over_full_scale,
                gain_db=master.gain_db,
                loudness=master.loudness,
                mel_distance_unrefined=own_distance if job.config.vocoder.refinements else None,
                mel_origin=job.config.vocoder.origin,
            )
            return add_to_shard(row, encoder.encoded, job, attempt)


def _encode(
    mel: UtteranceMel, waveform: Iterable[NDArray[np.float32]], master: Master, encoder: Encoder, watch: Stopwatch
) -> Levels:
    """Examine, master and encode the waveform, piece by piece. Returns its levels."""
    levels = Levels()
    decoded = watch.timed("decode", waveform)
    if mel.shard.job.config.vocoder.refinements:
        decoded = watch.timed("examine", _refined(decoded, mel.own_distance))
    made = watch.timed("examine", examined(decoded, mel.distance))
    for piece in watch.timed("encode", master.pieces(mel.shard.reframing.trimmed(made, mel.samples))):
        with watch.during("examine"):
            mel.examine()
            peak = levels.push(piece)
        with watch.during("encode"):
            encoder.push(piece, peak)
    with watch.during("examine"):
        mel.check()
    if not levels.samples:
        raise UtteranceError(
            f"{mel.utterance.frames} frames are too few: they give no sample. Remove the utterance from the store, or "
            "accept that it is quarantined"
        )
    return levels


def _refined(pieces: Iterable[NDArray[np.float32]], own_distance: MelDistance | None) -> Iterator[NDArray[np.float32]]:
    """The first rows of pieces `[2, samples] float32`; the second ones, the net's own, are measured."""
    for refined, own in pieces:
        if own_distance is not None:
            own_distance.push_audio(own)
        yield refined


def failure_of(utterance: Utterance, job: Job, error: Exception) -> Failure:
    """The record of an utterance that could not be made; its reason is without secrets."""
    source = Source(job.config.input.public_store, utterance.where, utterance.digest)
    return Failure(utterance.key, source, type(error).__name__, redacted(str(error)))
