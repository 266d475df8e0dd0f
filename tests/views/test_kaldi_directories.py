"""Exports to Kaldi without Kaldi: order, identifiers, places of audio, and what is refused. See tests/readers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.corpora import rows
from support.faults.ragged_store import write_store

from pipeline.config import JobConfig
from pipeline.errors import ConfigError
from pipeline.jobs.run import run
from pipeline.views.formats.kaldi_entries import audio_location, unsayable, utterance_id
from pipeline.views.options import ExportOptions
from pipeline.views.rows import ExportRow
from pipeline.views.run import export

Output = Callable[..., Path]
Build = Callable[..., JobConfig]
Make = Callable[..., ExportRow]


def columns(folder: Path, name: str) -> list[list[str]]:
    return [line.split(" ", 1) for line in (folder / name).read_text().splitlines()]


@pytest.fixture
def told(job: Build, tmp_path: Path) -> Callable[[str], str]:
    """Runs a job on 24 prompts with a list of metadata, and gives its output."""

    def make(lines: str) -> str:
        (tmp_path / "m.csv").write_text("key,speaker,text,lang\n" + lines)
        config = job(input__meta=str(tmp_path / "m.csv"), output__codec="wav")
        run(config)
        return config.output.url

    return make


def test_files_are_sorted_by_bytes_and_by_speaker(told: Callable[[str], str], tmp_path: Path) -> None:
    out = told("en_US_f_Allison/tt-weasels,Zoë,hello there,en\nru_RU_f_IvrvoiceRU/vm-goodbye,b,bye,ru\n")
    export(out, str(tmp_path / "data"), ExportOptions("kaldi", allow_empty_text=True))
    folder, made = tmp_path / "data" / "train", {row["key"]: row for row in rows(Path(out))}
    order = [line[0] for line in columns(folder, "wav.scp")]
    assert order == sorted(order, key=str.encode)
    assert len(order) == 24
    assert "Zoë-en_US_f_Allison/tt-weasels" in order
    speakers = columns(folder, "utt2spk")
    assert [line[0] for line in speakers] == order
    assert speakers == sorted(speakers, key=lambda line: (line[1].encode(), line[0].encode()))
    assert dict(speakers)["Zoë-en_US_f_Allison/tt-weasels"] == "Zoë"
    row = made["en_US_f_Allison/tt-weasels"]
    wav = dict(columns(folder, "wav.scp"))["Zoë-en_US_f_Allison/tt-weasels"]
    assert wav == f"{out}/{row['shard']}:{row['offset']}"
    assert float(dict(columns(folder, "utt2dur"))["Zoë-en_US_f_Allison/tt-weasels"]) == row["duration"]
    texts = {line[0]: "".join(line[1:]) for line in columns(folder, "text")}
    assert list(texts) == order
    assert texts["Zoë-en_US_f_Allison/tt-weasels"] == "hello there"
    assert sorted(path.name for path in folder.iterdir()) == [
        "reco2dur", "spk2utt", "text", "utt2dur", "utt2spk", "wav.scp",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("speakers", "why"),
    [
        ({"b": "a", "a-b": "a"}, r"'a-b' and 'b' would both be the utterance a-b"),
        ({"x": "a+b", "y": "a"}, r"the utterances of 'a\+b' and 'a' are in another order"),
        ({"x": "a", "y": "a_b", "z": "", "a": "", "-": "a"}, None),
    ],
)
def test_identifiers_that_kaldi_would_confuse_are_refused(
    vocoder_path: Path, tmp_path: Path, speakers: dict[str, str], why: str | None
) -> None:
    mels = {key: np.full((80, 20), -4 + i, np.float32) for i, key in enumerate(speakers)}
    write_store(tmp_path / "s.zarr", mels)
    (tmp_path / "m.csv").write_text("key,speaker\n" + "".join(f"{key},{name}\n" for key, name in speakers.items()))
    job = {
        "input": {"store": str(tmp_path / "s.zarr"), "meta": str(tmp_path / "m.csv"), "check_values": False},
        "vocoder": {"name": str(vocoder_path)},
        "output": {"url": str(tmp_path / "audio")},
        "cluster": {"kind": "synchronous"},
    }
    run(JobConfig.build(job))
    options = ExportOptions("kaldi", allow_empty_text=True)
    if why is None:
        export(str(tmp_path / "audio"), str(tmp_path / "data"), options)
        assert len(columns(tmp_path / "data" / "train", "wav.scp")) == len(speakers)
        return
    with pytest.raises(ConfigError, match=why):
        export(str(tmp_path / "audio"), str(tmp_path / "data"), options)
    assert not (tmp_path / "data").exists()


def test_without_any_text_there_is_no_file_of_texts(job: Build, tmp_path: Path) -> None:
    config = job()
    run(config)
    out = config.output.url
    with pytest.raises(ConfigError, match=r"24 utterances.*no text, which Kaldi needs"):
        export(out, str(tmp_path / "data"), ExportOptions("kaldi"))
    report = export(out, str(tmp_path / "data"), ExportOptions("kaldi", allow_empty_text=True))
    assert not (tmp_path / "data" / "train" / "text").exists()
    assert any("--no-text" in note for note in report.receipt.notes)


def test_hostile_keys_are_refused_by_reason(exported: Output, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a key with blanks, .*; .*no text") as refused:
        export(str(exported()), str(tmp_path / "data"), ExportOptions("kaldi"))
    assert r"'two words'" in str(refused.value)
    assert r"'a\tb'" in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "meta", "why"),
    [
        ({"key": "a b"}, {}, "a key with blanks"),
        ({"key": "a\u00a0b"}, {}, "a key with blanks"),
        ({"key": "a\0b"}, {}, "a key with blanks"),
        ({}, {"speaker": "Anna B"}, "a speaker whose name has blanks"),
        ({}, {"text": "one\ntwo"}, "a text of several lines"),
        ({"subtype": "FLOAT"}, {}, "audio in FLOAT"),
        ({"subtype": "PCM_24"}, {}, "audio in PCM_24"),
    ],
)
def test_what_kaldi_cannot_have(made_row: Make, fields: dict[str, str], meta: dict[str, str], why: str) -> None:
    assert (unsayable(made_row(meta, **fields)) or "").startswith(why)
    assert unsayable(made_row({"text": "a  b ", "speaker": "Zoë"}, key="ключ/1")) is None


@pytest.mark.parametrize(
    ("key", "speaker", "identifier"),
    [("a", "", "a"), ("a", "s", "s-a"), ("s-a", "s", "s-a"), ("sa", "s", "s-sa"), ("s", "s", "s-s")],
)
def test_an_identifier_begins_with_the_speaker(made_row: Make, key: str, speaker: str, identifier: str) -> None:
    assert utterance_id(made_row({"speaker": speaker}, key=key)) == identifier


FLAC = "flac -c -d -s"


@pytest.mark.parametrize(
    ("member", "path", "place"),
    [
        ("a.wav", "/o/x.tar", "/o/x.tar:512"),
        ("a.wav", "/o/x/a.wav", "/o/x/a.wav"),
        ("a.flac", "/o p/x/a.flac", f"{FLAC} '/o p/x/a.flac' |"),
        ("a.flac", "/o p/x.tar", f"tail -c +513 '/o p/x.tar' | head -c 100 | {FLAC} - |"),
        ("a.wav", "https://h/x/a.wav", "curl -sSfL https://h/x/a.wav |"),
        ("a.flac", "https://h/x/a.flac", f"curl -sSfL https://h/x/a.flac | {FLAC} - |"),
        ("a.wav", "https://h/x.tar", "curl -sSfL -r 512-611 https://h/x.tar |"),
        ("a.flac", "https://h/x.tar", f"curl -sSfL -r 512-611 https://h/x.tar | {FLAC} - |"),
    ],
)
def test_the_place_of_audio(made_row: Make, member: str, path: str, place: str) -> None:
    assert audio_location(made_row(member=member), path) == place


def test_only_urls_that_curl_reads(exported: Output, tmp_path: Path) -> None:
    options = ExportOptions("kaldi", base="s3://bucket/audio", allow_empty_text=True)
    with pytest.raises(ConfigError, match="--base with its https:// URL"):
        export(str(exported()), str(tmp_path / "data"), options)
