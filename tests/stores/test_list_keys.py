"""Keys of a list and of utterances: equal, or alike in one way only; what fits several is told and not matched."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from support.making import SPEC, random_mel
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import ConfigError
from pipeline.pack import pack_source, read_metadata
from pipeline.stores import open_store
from pipeline.stores.list_keys import match_rows
from pipeline.stores.metadata_lists import Metadata

NFC, NFD = (unicodedata.normalize(form, "große/Käse é") for form in ("NFC", "NFD"))


def matched(listed: dict[str, str], keys: list[str]) -> tuple[dict[str, str], tuple[str, ...], str]:
    rows = {key: json.dumps({"text": text}) for key, text in listed.items()}
    found = match_rows(Metadata("list", rows), keys, "mels")
    return {key: json.loads(row)["text"] for key, row in found.rows.items()}, found.unused, found.note


@pytest.mark.parametrize(
    ("listed", "key", "note"),
    [
        (NFC, NFD, "1 key was matched whose only difference is their Unicode normalization, as macOS writes it"),
        (NFD, NFC, "1 key was matched whose only difference is their Unicode normalization, as macOS writes it"),
        ("a/b.wav", "a/b", '1 key was matched without extension or "./"'),
        ("a/b.MP3", "a/b", '1 key was matched without extension or "./"'),
        ("a/b", "a/b.npy", '1 key was matched without extension or "./"'),
        ("./a/b.flac", "a/b", '1 key was matched without extension or "./"'),
        (NFC + ".opus", NFD, '1 key was matched without extension or "./"'),
        ("a.b", "a.b", ""),
    ],
)
def test_keys_that_are_alike_are_matched_and_stay_as_they_are(listed: str, key: str, note: str) -> None:
    assert matched({listed: "x", "z": "z"}, [key, "y"]) == ({key: "x"}, ("z",), note)


def test_what_follows_a_point_is_no_extension_unless_it_is_one() -> None:
    with pytest.raises(ConfigError):
        matched({"v1.5": "x"}, ["v1"])


@pytest.mark.parametrize(
    ("listed", "keys", "rows", "unused", "note"),
    [
        ({"a.wav": "1", "a.mp3": "2", "b": "3"}, ["a", "b"], {"b": "3"}, ("a.mp3", "a.wav"),
         "1 key fits several and was not matched, first 'a.wav', 'a.mp3' and the utterances' 'a'"),
        ({"a.wav": "1", "a.mp3": "1", "b": "3"}, ["a", "b"], {"a": "1", "b": "3"}, (),
         '1 key was matched without extension or "./"'),
        ({NFC + ".wav": "1", "b": "3"}, [NFC, NFD, "b"], {"b": "3"}, (NFC + ".wav",),
         f"1 key fits several and was not matched, first {NFC + '.wav'!r} and the utterances' {NFC!r}, {NFD!r}"),
        ({"a": "1", "a.wav": "2"}, ["a", "b"], {"a": "1"}, ("a.wav",), ""),
        ({NFC: "1", NFD: "2"}, [NFC, NFD], {NFC: "1", NFD: "2"}, (), ""),
        ({NFC: "1"}, [NFC, NFD], {NFC: "1"}, (), ""),
    ],
)  # fmt: skip
def test_what_fits_several_is_not_matched_and_equal_keys_come_first(
    listed: dict[str, str], keys: list[str], rows: dict[str, str], unused: tuple[str, ...], note: str
) -> None:
    assert matched(listed, keys) == (rows, unused, note)


def test_a_list_that_fits_nothing_is_refused_with_keys_of_both() -> None:
    with pytest.raises(ConfigError) as error:
        matched({"x": "1", "y": "2"}, ["a", "b", "c", "d"])
    assert str(error.value) == (
        "list has no row for any utterance of mels: its keys (field key) are like 'x', 'y', the utterances' like "
        "'a', 'b', 'c'"
    )
    with pytest.raises(ConfigError, match="some are equal without their folders: use the same folders in both"):
        matched({"/corpus/wavs/a.wav": "1"}, ["a"])
    with pytest.raises(ConfigError, match=r"'a\.wav', 'a\.mp3' and the utterances' 'a' fit several"):
        matched({"a.wav": "1", "a.mp3": "2"}, ["a"])


def called(*arguments: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.output


def npys(folder: Path, *keys: str) -> Path:
    for number, key in enumerate(keys):
        path = folder / f"{key}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, random_mel(9, number))
    return folder


def test_pack_says_what_it_matched_and_refuses_before_any_work(tmp_path: Path) -> None:
    folder = npys(tmp_path / "mels", NFD, "b", "c")
    spec = tmp_path / "mel.yaml"
    spec.write_text(json.dumps(SPEC.to_dict()))
    (tmp_path / "m.csv").write_text(f"file_name;text\n{NFC}.wav;x\nb.wav;y\nd.wav;z\n", encoding="utf-16")
    said = called("pack", folder, tmp_path / "s.zarr", "--mel", spec, "--workers", 1, "--meta", tmp_path / "m.csv")
    for line in (
        '2 keys were matched without extension or "./"\n',
        "1 utterance has no metadata:\n  c\n",
        "1 key of the metadata belongs to no utterance:\n  d.wav\n",
    ):
        assert line in said
    store = open_store(str(tmp_path / "s.zarr"))
    assert {each.key: store.meta(each) for each in store.catalogue()} == {
        NFD: {"text": "x"}, "b": {"text": "y"}, "c": {},
    }  # fmt: skip
    (tmp_path / "other.csv").write_text("key,text\nzz,x\n")
    said = called("pack", folder, tmp_path / "t.zarr", "--mel", spec, "--meta", tmp_path / "other.csv", code=2)
    assert "its keys (field key) are like 'zz', the utterances' like" in " ".join(said.split())
    assert not list(tmp_path.glob("t.zarr*"))


def test_a_source_s_own_texts_and_failures_stay_with_a_list(tmp_path: Path) -> None:
    folder = npys(tmp_path / "mels", "a")
    (folder / "bad.npy").write_bytes(b"no array")
    (tmp_path / "m.jsonl").write_text('{"path": "a.wav", "text": "x"}\n{"path": "bad.wav", "text": "y"}\n')
    metadata = read_metadata(str(tmp_path / "m.jsonl"))
    result = pack_source(str(folder), str(tmp_path / "s.zarr"), SPEC, metadata=metadata, workers=1)
    assert (len(result.failures), result.unused_metadata, result.without_metadata) == (1, (), ())
