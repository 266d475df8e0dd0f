"""Notes of exports: a help for people, which does no harm."""

import json
from pathlib import Path

import pytest

from pipeline.output.exports import ExportNote, export_notes, export_states, exported_here
from pipeline.output.layout import RECEIPT
from pipeline.output.ledger import Ledger
from pipeline.storage import LocalStorage

NOTE = ExportNote("wids", "/no/such/folder", "elsewhere", "2026-01-01T00:00:00+00:00", "1a2b")


def test_a_note_is_read_as_it_was_written_and_replaced_by_the_next_of_its_place(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    here = ExportNote("huggingface", "", "elsewhere", "2026-01-01T00:00:00+00:00", "1a2b", ("README.md",))
    for note in (NOTE, here, ExportNote("nemo", *list(vars(NOTE).values())[1:])):
        assert note.write(storage)
    assert {(note.format, note.target) for note in export_notes(storage)} == {
        ("nemo", NOTE.target),
        ("huggingface", ""),
    }
    assert exported_here(storage) == {"README.md"}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"version": 1}', '{"version": 2, "files": []}', '{"version": 1, "files": 3}']
)
def test_a_note_that_cannot_be_read_is_left_out(tmp_path: Path, text: str) -> None:
    storage = LocalStorage(tmp_path)
    NOTE.write(storage)
    storage.replace("_melmill/exports/x.json", text.encode())
    assert list(export_notes(storage)) == [NOTE]


def test_an_export_on_another_machine_is_looked_at_where_it_can_be_seen(tmp_path: Path) -> None:
    ledger = Ledger(LocalStorage(tmp_path / "out"))
    note = ExportNote("wids", str(tmp_path / "shared"), "elsewhere", "2026-01-01T00:00:00+00:00", "old")
    note.write(ledger.storage)
    assert [state.age for state in export_states(ledger)] == ["not visible from here"]
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / RECEIPT).write_text(json.dumps({"output": {"manifest": "new"}}))
    assert [state.age for state in export_states(ledger)] == ["out of date"]
    (tmp_path / "shared" / RECEIPT).write_text("[]")
    assert [state.age for state in export_states(ledger)] == ["not visible from here"]
