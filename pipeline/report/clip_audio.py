"""The audio of utterances that deserve a look: its bytes as they lie in the output, its waveform, and its mels."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio.encode import decoded, decoded_pcm_sha256
from pipeline.audio.resample import resampled
from pipeline.dsp.mel import log_mel
from pipeline.errors import ConfigError, StorageError
from pipeline.melspec import MelSpec
from pipeline.output.layout import audio_object
from pipeline.output.published_manifest import PlainRow
from pipeline.report.folder import ReportFolder
from pipeline.report.input_mels import InputMels
from pipeline.report.mel_file import mel_file
from pipeline.report.page_data.rows import ClipAudio
from pipeline.report.private_texts import PrivateTexts
from pipeline.report.published_output import PublishedOutput
from pipeline.report.script_files import script_file

_PEAKS = 300
_MOST_BYTES = 24 * 2**20
"""Size of the largest audio that is copied [bytes]: a quarter of an hour of FLAC."""
_OTHER_AUDIO = "Its audio is not the one that was written: `melmill verify` finds all that is damaged."
_SILENCE_SECONDS = 0.01
_SILENCE = 1e-3
"""Root mean square of 10 ms below which they are silent: -60 dBFS."""


@dataclass(frozen=True)
class ClipWriter:
    """Writes clips of an output to a report.

    Args:
        output: the output.
        spec: mel contract of the vocoder; None if job.json does not say it, so that there are no mels.
        inputs: the mels that went in.
        folder: the report.
    """

    output: PublishedOutput
    spec: MelSpec | None
    inputs: InputMels
    folder: ReportFolder

    @classmethod
    def of(cls, output: PublishedOutput, inputs: InputMels, folder: ReportFolder) -> ClipWriter:
        """The writer of an output's clips."""
        try:
            plain = output.described["vocoder"]["mel"]
            return cls(output, MelSpec.from_dict(plain), inputs, folder)
        except (KeyError, TypeError, ConfigError):
            return cls(output, None, inputs, folder)

    def write(self, row: PlainRow, name: str) -> ClipAudio:
        """Write the audio of an utterance and its mels. What cannot be read is said in the note.

        Args:
            row: the utterance.
            name: name of the clip in the report, without extension.
        """
        if row["bytes"] > _MOST_BYTES:
            size, most = row["bytes"] / 2**20, _MOST_BYTES / 2**20
            return _nothing(f"It is not copied: it has {size:.0f} MiB, and clips have {most:.0f} MiB at most.")
        try:
            encoded = self.output.ranges.read(audio_object(row["shard"], row["member"]), row["offset"], row["bytes"])
            samples, sample_rate = decoded(encoded)
        except FileNotFoundError:
            return _nothing(f"{row['shard']} is not there. `melmill verify` finds all that is damaged.")
        except (StorageError, soundfile.LibsndfileError) as error:
            return _nothing(PrivateTexts.of(self.output).shown(f"Its audio cannot be read: {error}"))
        if samples.ndim > 1 or not len(samples):
            return _nothing(_OTHER_AUDIO)
        file = f"{name}.{row['member'].rpartition('.')[2]}"
        self.folder.write(file, encoded)
        detail, note = self._detail(row, samples, sample_rate, f"{name}.js")
        if decoded_pcm_sha256(io.BytesIO(encoded), row["subtype"]) != (row["pcm_sha256"], row["num_samples"]):
            note = f"{_OTHER_AUDIO} {note}".strip()
        return ClipAudio(file, detail, _peaks(samples), _silence(samples, sample_rate), note)

    def _detail(
        self, row: PlainRow, samples: NDArray[np.float32], sample_rate: int, name: str
    ) -> tuple[str | None, str]:
        """Write the mels of input and audio. Returns the file's name, and what is to be said of them."""
        if self.spec is None:
            return None, "There are no mels: job.json does not say how they are computed."
        waveform = samples / np.float32(10 ** (row.get("gain_db", 0.0) / 20))
        at_rate = list(resampled([waveform], sample_rate, self.spec.sample_rate))
        made = log_mel(np.concatenate(at_rate), self.spec)
        if not made.shape[1]:
            return None, "It is too short for a mel."
        given, note = self.inputs.find(row)
        self.folder.write(name, script_file(name, mel_file(given, made, self.spec)))
        return name, note


def _nothing(note: str) -> ClipAudio:
    return ClipAudio(None, None, "", None, note)


def _peaks(samples: NDArray[np.float32]) -> str:
    """Base64 of the lowest and highest sample of each stretch, `[_PEAKS, 2] int8`."""
    starts = np.linspace(0, len(samples), _PEAKS, endpoint=False).astype(np.int64)
    envelope = np.stack([np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)], axis=1)
    return base64.b64encode(np.rint(np.clip(envelope, -1, 1) * 127).astype(np.int8).tobytes()).decode()


def _silence(samples: NDArray[np.float32], sample_rate: int) -> tuple[float, float, float]:
    """Silence before, after and in all of an utterance [s]."""
    size = max(1, round(_SILENCE_SECONDS * sample_rate))
    padded = np.pad(samples, (0, -len(samples) % size)).reshape(-1, size)
    silent = np.sqrt(np.mean(np.square(padded, dtype=np.float64), axis=1)) < _SILENCE
    seconds, loud = size / sample_rate, np.flatnonzero(~silent)
    if not len(loud):
        whole = round(len(samples) / sample_rate, 2)
        return whole, whole, whole
    before, after = loud[0] * seconds, (len(silent) - 1 - loud[-1]) * seconds
    return round(before, 2), round(after, 2), round(float(silent.sum()) * seconds, 2)
