import posixpath
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.member_keys import unescape

from pipeline.audio.member_names import COMPONENT_BYTES, escape

HOSTILE = [
    "../../etc/passwd",
    "/abs",
    ".",
    "..",
    "a.b.c",
    "a/b",
    "ключ",
    "🎤",
    "__x__",
    "",
    " ",
    "%2F",
    "con",
    "a\\b",
    "\x00",
]


@pytest.mark.parametrize("key", [*HOSTILE, "x" * 300, "ы" * 300])
def test_a_hostile_key_stays_where_it_is_put(key: str) -> None:
    path = posixpath.join("data", escape(key) + ".flac")
    assert posixpath.normpath(path) == path
    assert all(len(part.encode()) < 255 and part not in ("", ".", "..") for part in path.split("/"))
    assert unescape(escape(key)) == key


@given(st.text(st.characters(codec=None), max_size=700))
def test_every_key_comes_back(key: str) -> None:
    name = escape(key)
    assert unescape(name) == key
    assert "." not in name
    assert not name.startswith(("/", "_"))
    assert max(map(len, name.split("/"))) <= COMPONENT_BYTES


@given(st.text(max_size=300), st.text(max_size=300))
def test_two_keys_never_share_a_name(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) == (one == other)


@given(st.text(min_size=1, max_size=300))
def test_the_line_in_the_docs_turns_every_key_of_an_utterance_back(key: str) -> None:
    sample = {"__key__": escape(key)}
    assert unquote(sample["__key__"].replace("/", "")) == key
    docs = (Path(__file__).parents[2] / "docs/reference/files.md").read_text()
    assert 'unquote(sample["__key__"].replace("/", ""))' in docs


def test_plain_keys_stay_readable() -> None:
    assert escape("LJ001-0001") == "LJ001-0001"
