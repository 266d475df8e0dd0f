"""Metadata by key: read from lists, and in the packed store."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from support.making import SPEC, make_ragged, random_mel

from pipeline.errors import ConfigError
from pipeline.pack import pack_source, read_metadata
from pipeline.stores import open_store


def rows_of(path: Path, text: str) -> dict[str, object]:
    path.write_bytes(text.encode())
    return {key: json.loads(row) for key, row in read_metadata(str(path)).rows.items()}


def test_json_lines_and_tables_say_the_same(tmp_path: Path) -> None:
    expected = {"a/b": {"text": 'he said "x, y"', "speaker": "ünï"}, "c": {"text": "two\nlines"}}
    lines = '{"key": "a/b", "text": "he said \\"x, y\\"", "speaker": "ünï"}\n\n{"id": "c", "text": "two\\nlines", '
    lines += '"n": null}'
    assert rows_of(tmp_path / "m.jsonl", lines) == expected
    table = '\ufeffspeaker,utt_id,text\nünï,a/b,"he said ""x, y"""\n,c,"two\nlines"\n'
    assert rows_of(tmp_path / "m.csv", table) == expected
    tabs = '\ufeffspeaker\tkey\ttext\r\nünï\ta/b\the said "x, y"\r\n\tc\ttwo\r\n'
    assert rows_of(tmp_path / "m.tsv", tabs) == {**expected, "c": {"text": "two"}}
    nested = {"a": {"tags": ["x"], "age": 3, "clean": True}}
    assert rows_of(tmp_path / "m.jsonl", '{"key": "a", "tags": ["x"], "age": 3, "clean": true}') == nested


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("m.jsonl", '{"key": "a"}\n\n{"key": "a", "text": "x"}', "lines 1 and 3 have the same key 'a', and differ"),
        ("m.csv", "key,text,text\na,x,y\n", "the column 'text' occurs twice in the header"),
        ("m.csv", "key,text\n", "has no rows; add lines below the header"),
        ("m.jsonl", '{"key": "a", "text": "\\ud800"}', "line 1: it holds half of a surrogate pair"),
        ("m.csv", "key,text\na,x\nb,y\na,z\n", "lines 2 and 4 have the same key 'a'"),
        ("m.jsonl", '{"key": "a"}\n{"text": "x"}', "line 2: no field key"),
        ("m.jsonl", '{"key": 3}', "line 1: no field key"),
        ("m.csv", "key,text\n,x\n", "line 2: no field key"),
        ("m.csv", "name,text\na,x\n", "first line is 'name,text', with no column named key, id"),
        ("m.csv", "key,text\na,x,y\n", "line 2: it has [13] fields, not as many"),
        ("m.csv", "key,text\na\n", "line 2: it has [13] fields, not as many"),
        ("m.csv", 'key,text\nz,y\na,"x\nb,y\n', "line 3: a quotation mark in this row is not closed"),
        ("m.csv", 'key,text\na,"x\nb,"y"\n', "line 2: a quotation mark .*shows in line 3"),
        ("m.csv", 'key,text\nz,"1\n2"\na,"x "y" z"\n', "line 4: a quotation mark .* not doubled"),
        ("m.tsv", 'key\ttext\na\t"x\ny"\n', "line 3: it has 1 fields, .* its fields cannot be quoted"),
        ("m.tsv", "key\ttext\na\tx\tb\n", "line 2: it has 3 fields"),
        ("m.jsonl", "a\tx", "line 1, is not a valid JSON object"),
        ("m.jsonl", "", "has no rows"),
    ],
)
def test_bad_lists_are_refused_with_the_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_metadata(str(tmp_path / name))


def test_metadata_goes_over_the_source_s_own_and_what_has_no_match_is_named(tmp_path: Path) -> None:
    mels = {key: random_mel(9, seed) for seed, key in enumerate("abc")}
    own = [json.dumps({"text": "old", "speaker": "anna"}), "", ""]
    make_ragged(tmp_path / "old.zarr", mels, meta=own)
    lines = [{"key": "a", "text": "new"}, {"key": "b", "language": "fr"}, {"key": "x", "text": "nobody's"}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    metadata = read_metadata(str(tmp_path / "m.jsonl"))
    result = pack_source(str(tmp_path / "old.zarr"), str(tmp_path / "new.zarr"), metadata=metadata, workers=1)
    assert (result.without_metadata, result.unused_metadata) == (("c",), ("x",))
    store = open_store(str(tmp_path / "new.zarr"))
    listed = store.catalogue()
    assert not listed.faults
    assert [store.meta(utterance) for utterance in listed] == [
        {"text": "new", "speaker": "anna"}, {"language": "fr"}, {},
    ]  # fmt: skip
    for utterance in listed:
        np.testing.assert_array_equal(store.read(utterance), mels[utterance.key])
    assert store.spec == SPEC


COMMON_VOICE = [
    ('"Good-bye,', "A second line", 'He said it twice"', "Fourth"),
    ('"Yes."', '"', '""', "don't"),
    ("a, b", "'", '5" pipe', 'end"'),
]


@pytest.mark.parametrize("texts", COMMON_VOICE)
@pytest.mark.parametrize("packed", [False, True])
def test_a_quotation_mark_in_a_tsv_is_a_character(tmp_path: Path, texts: tuple[str, ...], packed: bool) -> None:
    content = ("id\ttext\n" + "".join(f"u{i}\t{text}\n" for i, text in enumerate(texts))).encode()
    path = tmp_path / ("t.tsv.gz" if packed else "T.TSV")
    path.write_bytes(gzip.compress(content) if packed else content)
    rows = read_metadata(str(path)).rows
    assert {key: json.loads(row) for key, row in rows.items()} == {
        f"u{i}": {"text": each} for i, each in enumerate(texts)
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", 'key,text\nz,y\na,"x\nb,y"\nc,"1\r\n2"\n'),
        ("m.jsonl", '{"key": "z"}\n\n{"key": "a", "text": "x\\nb,y"}\n{"key": "c", "text": "1\\r2"}\n'),
    ],
)
def test_texts_with_a_line_break_are_told(tmp_path: Path, name: str, text: str) -> None:
    """A quotation mark that is not closed takes the rows up to the next one into its text, and that is all one sees."""
    (tmp_path / name).write_bytes(text.encode())
    listed = read_metadata(str(tmp_path / name))
    assert json.loads(listed.rows["a"]) == {"text": "x\nb,y"}
    assert listed.note.startswith("2 texts have a line break, first that of 'a' (line 3)")
    assert listed.note.endswith("a quotation mark is not closed there") == (name == "m.csv")


def test_numbers_that_json_does_not_have_are_missing(tmp_path: Path) -> None:
    text = '{"key": "a", "snr": NaN, "x": -Infinity, "y": Infinity, "z": 1e999, "w": -1e999, "v": [NaN, 1], "n": 2.5}'
    assert rows_of(tmp_path / "m.jsonl", text) == {"a": {"v": [None, 1], "n": 2.5}}


def test_a_name_that_occurs_twice_in_a_row_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"key": "a"}\n{"key": "b", "key": "c", "text": "whose?"}\n')
    with pytest.raises(ConfigError, match=r"2.*the name 'key' occurs more than once"):
        read_metadata(str(tmp_path / "m.jsonl"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.jsonl", '{"key": "a", "x": 1, "text": "b"}\n{"key": "c"}\n{"text": "b", "key": "a", "x": 1}'),
        ("m.csv", "key,text,x\na,b,1\nc,,\na,b,1\n"),
        ("m.tsv", "key\ttext\tx\na\tb\t1\nc\t\t\na\tb\t1\n"),
    ],
)
def test_equal_rows_count_as_one(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    rows = read_metadata(str(tmp_path / name)).rows
    numbers = "1" if name == "m.jsonl" else '"1"'
    assert {key: json.loads(row) for key, row in rows.items()} == {
        "a": {"text": "b", "x": json.loads(numbers)},
        "c": {},
    }
