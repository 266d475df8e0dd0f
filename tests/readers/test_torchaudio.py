"""torchaudio and soundfile read the audio of an output as it is: files, and members of tars at their offsets."""

import io
from pathlib import Path

import pytest
import soundfile
import torchaudio
from support.corpora import rows
from support.reader_outputs import pcm_sha256


@pytest.mark.parametrize("container", ["tars", "files"])
def test_offset_and_size_of_the_manifest_lead_to_the_audio(container: str, request: pytest.FixtureRequest) -> None:
    out: Path = request.getfixturevalue(container)
    for row in rows(out):
        name = row["shard"] if container == "tars" else f"{row['shard']}/{row['member']}"
        with open(out / name, "rb") as file:
            file.seek(row["offset"])
            encoded = file.read(row["bytes"])
        samples, rate = torchaudio.load(io.BytesIO(encoded))
        assert (pcm_sha256(samples.numpy()), rate) == (row["pcm_sha256"], row["sample_rate"])
        assert samples.shape == (1, row["num_samples"])
        assert pcm_sha256(soundfile.read(io.BytesIO(encoded), dtype="int16")[0]) == row["pcm_sha256"]
    if container == "files":
        assert pcm_sha256(torchaudio.load(out / name)[0].numpy()) == row["pcm_sha256"]
