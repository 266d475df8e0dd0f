"""Exports to LJSpeech: names, columns, and WAV files with the samples of the output. tests/readers has readers."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from support.corpora import rows

from pipeline.audio.encode import as_wav, decoded_pcm_sha256
from pipeline.config import JobConfig
from pipeline.errors import ConfigError, StorageError
from pipeline.jobs.run import run
from pipeline.views.formats.ljspeech import LJSpeech
from pipeline.views.options import ExportOptions, parse_split
from pipeline.views.run import export

Output = Callable[..., Path]
Build = Callable[..., JobConfig]
FORMATS = [("flac", "PCM_16"), ("flac", "PCM_24"), ("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT")]


@pytest.mark.parametrize("container", ["tar", "files"])
@pytest.mark.parametrize(("codec", "subtype"), FORMATS)
def test_wav_files_have_the_samples_of_the_output(
    job: Build, tmp_path: Path, container: str, codec: str, subtype: str
) -> None:
    config = job(output__container=container, output__codec=codec, output__subtype=subtype)
    run(config)
    out, target = Path(config.output.url), tmp_path / "lj"
    export(str(out), str(target), ExportOptions("ljspeech", allow_empty_text=True))
    names = [line.split("|")[0] for line in (target / "metadata.csv").read_text().splitlines()]
    for name, row in zip(names, rows(out), strict=True):
        path = target / "wavs" / f"{name}.wav"
        found = soundfile.info(path)
        assert (found.format, found.subtype, found.samplerate) == ("WAV", subtype, row["sample_rate"])
        with open(path, "rb") as file:
            assert decoded_pcm_sha256(file, row["subtype"]) == (row["pcm_sha256"], row["num_samples"])
        assert path.is_symlink() == (codec == "wav" and container == "files")


def test_names_are_keys_that_no_reader_cuts(exported: Output, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a text with \|, which separates the columns"):
        export(str(exported()), str(tmp_path / "lj"), ExportOptions("ljspeech", allow_empty_text=True))


def test_texts_of_several_lines_are_refused(job: Build, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text('key,text,normalized_text\nen_US_f_Allison/tt-weasels,1 weasel,"one\nweasel"\n')
    config = job(input__meta=str(tmp_path / "m.csv"))
    run(config)
    with pytest.raises(ConfigError, match="'en_US_f_Allison/tt-weasels': a text of several lines"):
        export(config.output.url, str(tmp_path / "lj"), ExportOptions("ljspeech", allow_empty_text=True))


def test_each_split_is_a_corpus_of_its_own_with_normalized_texts(job: Build, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("key,text,normalized_text\nen_US_f_Allison/tt-weasels,1 weasel,one weasel\n")
    config = job(input__meta=str(tmp_path / "m.csv"))
    run(config)
    options = ExportOptions("ljspeech", split=parse_split("a=0.5,b=0.5"), allow_empty_text=True)
    export(config.output.url, str(tmp_path / "lj"), options)
    lines = [
        (split, *line.split("|"))
        for split in "ab"
        for line in (tmp_path / "lj" / split / "metadata.csv").read_text().splitlines()
    ]
    assert {line[0] for line in lines} == {"a", "b"}
    assert all((tmp_path / "lj" / split / "wavs" / f"{name}.wav").is_file() for split, name, *_ in lines)
    assert [line[2:] for line in lines if line[2]] == [("1 weasel", "one weasel")]


def test_damaged_audio_is_not_exported(job: Build, tmp_path: Path) -> None:
    config = job()
    run(config)
    out, row = Path(config.output.url), rows(Path(config.output.url))[3]
    whole = (out / row["shard"]).read_bytes()
    for content in (b"x" * row["bytes"], other_audio(whole, row["offset"], row["bytes"])):
        (out / row["shard"]).chmod(0o644)
        (out / row["shard"]).write_bytes(whole[: row["offset"]] + content + whole[row["offset"] + row["bytes"] :])
        with pytest.raises(StorageError, match=f"{row['key']}.*melmill verify"):
            export(str(out), str(tmp_path / "lj"), ExportOptions("ljspeech", allow_empty_text=True))
        assert not (tmp_path / "lj").exists()


def other_audio(tar: bytes, offset: int, size: int) -> bytes:
    """Silence as long as the audio, in as many bytes."""
    samples, rate = soundfile.read(io.BytesIO(tar[offset : offset + size]), dtype="int16")
    written = io.BytesIO()
    soundfile.write(written, samples * 0, rate, format="FLAC", subtype="PCM_16")
    return written.getvalue().ljust(size, b"\0")


def test_audio_that_is_there_already_is_not_decoded_again(
    job: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = job()
    run(config)
    options = ExportOptions("ljspeech", allow_empty_text=True)
    export(config.output.url, str(tmp_path / "lj"), options)
    (tmp_path / "lj" / "metadata.csv").unlink()
    monkeypatch.setattr(LJSpeech, "_wav", None)
    assert export(config.output.url, str(tmp_path / "lj"), options).reused == 24


def test_as_wav_keeps_the_file_of_one_that_is_wav(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", [0.5, -0.25], 16000, subtype="FLOAT")
    samples, rate = soundfile.read(io.BytesIO(as_wav((tmp_path / "a.wav").read_bytes(), "FLOAT")))
    assert (samples.tolist(), rate) == ([0.5, -0.25], 16000)
