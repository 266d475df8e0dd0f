"""Lists as tools write them: separators, encodings, names of the key column; what is not plain is named."""

from __future__ import annotations

import codecs
import gzip
import json
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.stores.metadata_lists import read_metadata

TEXTS = {"a": {"text": "eins; zwei"}, "b": {"text": 'he said "x"'}}
LJSPEECH = 'LJ1|"Printing, in 1455|"Printing, in fourteen\nLJ2|Hello|Hello\n'


def read(path: Path, content: str | bytes) -> dict[str, object]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return {key: json.loads(row) for key, row in read_metadata(str(path)).rows.items()}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.csv", 'key;text\na;"eins; zwei"\nb;"he said ""x"""\n'),
        ("m.csv", 'id\ttext\na\teins; zwei\nb\t"he said ""x"""\n'),
        ("m.csv", 'text|key\neins; zwei|a\nhe said "x"|b\n'),
        ("m.csv", 'a|eins; zwei\nb|he said "x"\n'),
        ("m.txt", 'a|eins; zwei\nb|he said "x"\n'),
        ("m.txt", 'key\ttext\na\teins; zwei\nb\the said "x"\n'),
        ("m.txt", '{"key": "a", "text": "eins; zwei"}\n{"key": "b", "text": "he said \\"x\\""}\n'),
        ("m.csv", 'file_name,text\na,eins; zwei\nb,"he said ""x"""\n'),
        ("m.tsv", 'path\ttext\na\teins; zwei\nb\the said "x"\n'),
        (
            "m.jsonl",
            '{"audio_filepath": "a", "text": "eins; zwei"}\n{"id": 3, "file_name": "b", "text": "he said \\"x\\""}',
        ),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_separator_is_known_by_the_key_column_that_it_gives(
    tmp_path: Path, name: str, content: str, packed: bool
) -> None:
    found = read(tmp_path / (name + ".gz" * packed), gzip.compress(content.encode()) if packed else content)
    expected = {key: dict(row) for key, row in TEXTS.items()}
    if '"id": 3' in content:
        expected["b"]["id"] = 3  # type: ignore[assignment]
    assert found == expected


def test_ljspeech_is_read_as_it_is(tmp_path: Path) -> None:
    assert read(tmp_path / "metadata.csv", LJSPEECH) == {
        "LJ1": {"text": '"Printing, in 1455', "normalized_text": '"Printing, in fourteen'},
        "LJ2": {"text": "Hello", "normalized_text": "Hello"},
    }


def test_other_columns_without_a_header_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path / "filelist.txt", "wavs/a.wav|3|Hello\nwavs/b.wav|4|World\n")
    said = str(error.value)
    assert "its first line is 'wavs/a.wav|3|Hello', with no column named key, id" in said
    assert "as key|text" in said


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.tsv", "key,text\na,x\n", "columns are separated by a tab in a .tsv, not by a comma"),
        ("m.csv", "name;text\na;x\n", "as key;text"),
        ("m.csv", "a|x|y|z\n", "as key|text"),
        ("m.jsonl", '[{"key": "a"}]\n', "it begins an array: write one object per line"),
        ("m.json", '[\n{"key": "a"}\n]\n', "it begins an array: write one object per line"),
        ("m.csv", 'a|x|x\nb|"y\n', "line 2: it has 2 fields"),
        ("m.csv", 'key;text\na;x\nb;"y\nc;z\n', "line 3: a quotation mark in this row is not closed"),
        ("m.csv", "key;text\na;x;y\n", "line 2: it has 3 fields"),
        ("m.csv", "key;key;text\na;b;c\n", "the column 'key' occurs twice"),
        ("m.csv", "", "has no rows; add lines below the header"),
    ],
)
def test_what_is_not_plain_is_named(tmp_path: Path, name: str, content: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path / name, content)
    assert said in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.csv", "key,text\r\na,ü\u2028x\r\nb,\U0001f600\r\n"),
        ("m.tsv", "key\ttext\na\tü\u2028x\nb\t\U0001f600"),
        ("m.jsonl", '{"key": "a", "text": "ü\u2028x"}\n{"key": "b", "text": "\U0001f600"}\n'),
        ("m.jsonl.gz", '{"key": "a", "text": "ü\u2028x"}\n{"key": "b", "text": "\U0001f600"}\n'),
    ],
)
def test_a_byte_order_mark_tells_of_utf16(tmp_path: Path, name: str, content: str, encoding: str) -> None:
    encoded = content.encode(encoding)
    if encoding == "utf-16-be":
        encoded = codecs.BOM_UTF16_BE + encoded
    found = read(tmp_path / name, gzip.compress(encoded) if name.endswith(".gz") else encoded)
    assert found == {"a": {"text": "ü\u2028x"}, "b": {"text": "\U0001f600"}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("key,text\na,x\n".encode("utf-16-le"), "line 1 holds NUL bytes, as UTF-16 without a byte order mark does"),
        (
            "key,text\na,x\n".encode("utf-16")[:-1],
            "cannot be read: 'utf-16-le' codec can't decode .*; save it as UTF-8",
        ),
        ("key,text\na,ü\n".encode("latin-1"), "line 2, is not valid UTF-8: .*; save the table as UTF-8"),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(tmp_path / "m.csv", content)


def test_fields_without_any_value_are_told(tmp_path: Path) -> None:
    lines = [{"key": "a", "age": None, "snr": float("nan"), "text": "x"}, {"key": "b", "age": None, "text": None}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert read_metadata(str(tmp_path / "m.jsonl")).note == "no row has a value in age, snr: left out"
    names = [f"n{number}" for number in range(7)]
    (tmp_path / "m.csv").write_text(f"key,{','.join(names)}\na,,,,,,,\n")
    assert (
        read_metadata(str(tmp_path / "m.csv")).note == "no row has a value in n0, n1, n2, n3, n4 and 2 more: left out"
    )
