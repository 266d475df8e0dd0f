"""Kaldi's data directories, as kaldiio, Kaldi's own C++ (kaldi_native_io) and lhotse read them."""

from collections.abc import Callable
from pathlib import Path

import kaldi_native_io
import kaldiio
import numpy as np
import pytest
from lhotse.kaldi import load_kaldi_data_dir
from support.corpora import rows
from support.exporting import exported
from support.reader_outputs import digests, pcm_sha256

KINDS = {
    "FLAC in tars": {},
    "FLAC files": {"container": "files"},
    "WAV in tars": {"codec": "wav"},
    "WAV files": {"container": "files", "codec": "wav"},
}


@pytest.fixture(scope="module", params=KINDS)
def made(
    request: pytest.FixtureRequest, output_of: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """An output of each kind, and its data directory."""
    out = output_of(**KINDS[request.param])
    return out, exported(out, tmp_path_factory.mktemp("kaldi") / "data", "kaldi", allow_empty_text=True) / "train"


def identifiers(out: Path) -> dict[str, str]:
    """Key -> identifier of the utterance."""
    return {row["key"]: f"{row['speaker']}-{row['key']}" if row["speaker"] else row["key"] for row in rows(out)}


def wanted(out: Path) -> dict[str, str]:
    """PCM digest by identifier, in the order of LC_ALL=C."""
    found = {identifiers(out)[key]: digest for key, digest in digests(out).items()}
    return {key: found[key] for key in sorted(found, key=str.encode)}


def test_kaldiio_gives_the_same_samples(made: tuple[Path, Path]) -> None:
    out, folder = made
    found = kaldiio.load_scp(str(folder / "wav.scp"))
    assert {key: pcm_sha256(found[key][1]) for key in found} == wanted(out)
    assert list(found) == list(wanted(out))
    assert {rate for rate, _ in found.values()} == {22050}
    one_by_one = {
        key: pcm_sha256(samples) for key, (_, samples) in kaldiio.load_scp_sequential(str(folder / "wav.scp"))
    }
    assert one_by_one == wanted(out)


def test_kaldis_own_reader_gives_the_same_samples(made: tuple[Path, Path]) -> None:
    out, folder = made
    with kaldi_native_io.SequentialWaveReader(f"scp:{folder}/wav.scp") as reader:
        found = {key: pcm_sha256(np.asarray(wave.data).astype(np.int16)) for key, wave in reader}
    assert found == wanted(out)
    with kaldi_native_io.RandomAccessWaveReader(f"scp:{folder}/wav.scp") as reader:
        last = list(wanted(out))[-1]
        assert pcm_sha256(np.asarray(reader[last].data).astype(np.int16)) == wanted(out)[last]
    with kaldi_native_io.SequentialTokenVectorReader(f"ark:{folder}/text") as reader:
        texts = {key: " ".join(words) for key, words in reader}
    assert texts == {identifiers(out)[row["key"]]: row["text"] for row in rows(out)}
    with kaldi_native_io.SequentialFloatReader(f"ark:{folder}/utt2dur") as reader:
        assert dict(reader) == pytest.approx({identifiers(out)[r["key"]]: r["duration"] for r in rows(out)}, rel=1e-6)


def test_the_files_are_sorted_and_agree(made: tuple[Path, Path]) -> None:
    _, folder = made
    files = {path.name: [line.split() for line in path.read_text().splitlines()] for path in folder.iterdir()}
    order = [line[0] for line in files["wav.scp"]]
    assert order == sorted(order, key=str.encode)
    for name in ("utt2spk", "utt2dur", "reco2dur", "text"):
        assert [line[0] for line in files[name]] == order
    by_speaker = sorted(files["utt2spk"], key=lambda line: (line[1].encode(), line[0].encode()))
    assert by_speaker == files["utt2spk"]  # as utils/validate_data_dir.sh wants it
    assert [[each, speaker] for speaker, *those in files["spk2utt"] for each in those] == files["utt2spk"]
    assert "utt2lang" not in files  # 18 of 24 have a language


def test_lhotse_imports_the_directory(output_of: Callable[..., Path], tmp_path: Path) -> None:
    out = output_of(codec="wav", container="files")
    folder = exported(out, tmp_path / "data", "kaldi", where="text <> ''") / "train"
    recordings, supervisions, _ = load_kaldi_data_dir(folder, sampling_rate=22050)
    assert supervisions is not None
    told = {identifiers(out)[r["key"]]: r for r in rows(out) if r["text"]}
    assert {each.id: pcm_sha256(each.load_audio()) for each in recordings} == {
        k: v["pcm_sha256"] for k, v in told.items()
    }
    assert {(s.id, s.text, s.speaker, s.language, s.duration) for s in supervisions} == {
        (key, row["text"], row["speaker"], row["language"], row["duration"]) for key, row in told.items()
    }
