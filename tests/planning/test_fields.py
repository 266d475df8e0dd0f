"""One type for each field of the metadata, whatever the corpus has, and no value lost."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import example, given
from hypothesis import strategies as st
from support.corpora import assert_whole, digests, rows
from support.faults.layouts import MAKERS

from pipeline.config import JobConfig
from pipeline.events import Event, MetadataConverted, ShardCommitted
from pipeline.jobs.run import plan, run
from pipeline.planning import utterance_metadata
from pipeline.planning.fields import MAX_FIELDS, Fields, type_of, unified

Build = Callable[..., JobConfig]
LISTED = ("ragged", "grouped", "grouped, Zarr v2", "padded")

CASES: list[tuple[list[dict[str, Any]], dict[str, Any], list[dict[str, Any]]]] = [
    # what is given, the types, what is written
    ([{}, {"text": "x"}], {"text": "text"}, [{"text": ""}, {"text": "x"}]),
    ([{"a": 1}, {"a": 2.5}], {"a": "number"}, [{"a": 1.0}, {"a": 2.5}]),
    ([{"a": 1}, {"a": 2}], {"a": "integer"}, [{"a": 1}, {"a": 2}]),
    ([{"a": True}, {"a": False}], {"a": "boolean"}, [{"a": True}, {"a": False}]),
    ([{"a": True}, {"a": 1}], {"a": "text"}, [{"a": "true"}, {"a": "1"}]),
    ([{"a": 3}, {"a": "s0"}], {"a": "text"}, [{"a": "3"}, {"a": "s0"}]),
    ([{"a": 3}, {}], {"a": "text"}, [{"a": "3"}, {"a": ""}]),
    ([{"a": 3}, {"a": None}], {"a": "text"}, [{"a": "3"}, {"a": ""}]),
    ([{"a": 3.5}, {"a": math.nan}], {"a": "text"}, [{"a": "3.5"}, {"a": ""}]),
    ([{"a": None}, {"a": None}], {"a": "text"}, [{"a": ""}, {"a": ""}]),
    ([{"a": 2**70}, {"a": 1}], {"a": "text"}, [{"a": str(2**70)}, {"a": "1"}]),
    ([{"a": [1]}, {"a": [2, 0.5]}], {"a": {"list": "number"}}, [{"a": [1.0]}, {"a": [2.0, 0.5]}]),
    ([{"a": ["x"]}, {"a": []}], {"a": "text"}, [{"a": '["x"]'}, {"a": "[]"}]),
    ([{"a": [1]}, {"a": ["x"]}], {"a": {"list": "text"}}, [{"a": ["1"]}, {"a": ["x"]}]),
    ([{"a": {"b": 1}}, {"a": {"b": 2}}], {"a": {"object": {"b": "integer"}}}, [{"a": {"b": 1}}, {"a": {"b": 2}}]),
    ([{"a": {"b": 1}}, {"a": {"c": 2}}], {"a": "text"}, [{"a": '{"b": 1}'}, {"a": '{"c": 2}'}]),
    ([{"a": {"b": None}}, {"a": {"b": 2}}], {"a": "text"}, [{"a": '{"b": null}'}, {"a": '{"b": 2}'}]),
]


@pytest.mark.parametrize(("given_rows", "types", "written"), CASES)
def test_a_field_has_one_type_in_all_rows(given_rows: list, types: dict[str, Any], written: list) -> None:
    found = Fields.of(given_rows).types
    assert found == types
    assert [unified(row, found) for row in given_rows] == written
    assert list(map(type, (each for row in written for each in row.values()))) == list(
        map(type, (each for row in given_rows for each in unified(row, found).values()))
    )


@pytest.mark.parametrize(
    ("given_rows", "notes"),
    [
        ([{"a": 1}] * 4 + [{"a": "s"}] * 5, ["a is a number in 4 rows and text in 5: it becomes text"]),
        ([{"age": 1}] * 2 + [{}] * 3, ["age is a number in 2 rows and missing in 3: it becomes text"]),
        ([{"a": [1]}, {"a": {"b": 1}}, {"a": True}, {}],
         ["a is a list in 1 row, an object in 1, true or false in 1 and missing in 1: it becomes text"]),
        ([{"a": {"b": 1}}, {"a": {"c": 1}}], ["a is an object of several shapes in 2 rows: it becomes text"]),
        ([{"a": {"b": None}}] * 2 + [{"a": {"b": 1}}] * 3,
         ["a is an object of several shapes in 5 rows: it becomes text"]),
        ([{"a": 2**70}, {"a": 1}], ["a is a number in 2 rows, some beyond 64 bits: it becomes text"]),
        ([{"text": "x"}, {}], []),
        ([{"a": 1}, {"a": 1.5}], []),
        ([{"a": None}, {}], ["a has no value in 2 rows: it becomes text"]),
        ([{"a": math.nan}], ["a has no value in 1 row: it becomes text"]),
        ([{"a": []}] * 2, ["a is an empty list in 2 rows: it becomes text"]),
        ([{"a": {}}], ["a is an empty object in 1 row: it becomes text"]),
        ([{"a": []}, {"a": {}}, {}],
         ["a is an empty list in 1 row, an empty object in 1 and missing in 1: it becomes text"]),
        ([{"a": [1]}, {"a": []}], ["a is a list in 1 row and an empty list in 1: it becomes text"]),
        ([{"a": [1, "x"]}, {"a": ["y"]}], ["a[] is a number in 1 value and text in 2: it becomes text"]),
        ([{"a": [1]}, {"a": ["x"]}], ["a[] is a number in 1 value and text in 1: it becomes text"]),
        ([{"a": [[True], [1, 2]]}], ["a[][] is a number in 2 values and true or false in 1: it becomes text"]),
        ([{"a": [2**70]}], ["a[] is a number in 1 value, some beyond 64 bits: it becomes text"]),
        ([{"a": {"b": 1, "c": "x"}}, {"a": {"c": "y", "b": "z"}}],
         ["a.b is a number in 1 value and text in 1: it becomes text"]),
        ([{"a": [1]}, {"a": [0.5]}], []),
        ([{"a": ["x"]}, {"a": ["y", "z"]}], []),
    ],
)  # fmt: skip
def test_fields_that_become_text_are_told_with_counts(given_rows: list, notes: list[str]) -> None:
    assert list(Fields.of(given_rows).notes) == notes


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=5,
)
corpora = st.lists(st.dictionaries(st.sampled_from("abcd"), values, max_size=4), min_size=1, max_size=6)


def missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


@given(corpora)
@example([{"a": None}, {"a": ""}])
def test_every_row_has_every_field_with_one_type_and_no_value_is_lost(corpus: list[dict[str, Any]]) -> None:
    types = Fields.of(corpus).types
    written = [unified(row, types) for row in corpus]
    for given_row, row in zip(corpus, written, strict=True):
        assert row.keys() == types.keys()
        for name, value in row.items():
            assert type_of(value) == types[name]
            before = given_row.get(name)
            if types[name] == "text" and not isinstance(before, str):
                assert (value == "") if missing(before) else (repr(json.loads(value)) == repr(before))
    assert Fields.of(written).types == types
    assert [unified(row, types) for row in written] == written
    again = Fields.of(reversed(corpus))
    assert json.dumps(again.types) == json.dumps(types)  # the order of the fields, too, is that of any run
    assert again.notes == Fields.of(corpus).notes
    told = {note.partition(" ")[0].partition("[")[0].partition(".")[0] for note in again.notes}
    for name, known in types.items():
        if name not in told:  # no value became another one
            before = ["" if missing(each.get(name)) else each[name] for each in corpus]
            assert [row[name] for row in written] == before, known


def test_the_number_of_fields_is_bounded() -> None:
    found = Fields.of([{f"f{i}": i} for i in range(MAX_FIELDS + 5)])
    assert len(found.types) == MAX_FIELDS
    assert found.notes[-1] == f"the metadata has more than {MAX_FIELDS} fields: the others are written as they are"
    assert unified({f"f{MAX_FIELDS + 1}": 7}, found.types)[f"f{MAX_FIELDS + 1}"] == 7


# ---- in an output


def write_texts(path: Path, keys: list[str], first_without: int = 6) -> str:
    """Texts of which the first have none, and speakers that are numbers and text."""
    told: list[dict[str, Any]] = [{"key": key, "speaker": 3 if at % 2 else f"s{at}"} for at, key in enumerate(keys)]
    for each in told[first_without:]:
        each |= {"text": f"says {each['key']}", "age": 30}
    path.write_text("".join(json.dumps(each) + "\n" for each in told))
    return str(path)


@pytest.mark.parametrize("layout", LISTED)
def test_one_schema_is_known_before_the_first_shard_whatever_the_layout(
    job: Build, mels: Path, tmp_path: Path, layout: str
) -> None:
    (tmp_path / "flat").mkdir()
    for path in mels.rglob("*.npy"):
        shutil.copy(path, tmp_path / "flat" / f"{path.parent.name} {path.name}")
    MAKERS[layout](tmp_path / "made.zarr", tmp_path / "flat")
    out = tmp_path / "audio"
    common = {"input__store": str(tmp_path / "made.zarr"), "input__check_values": False, "output__sidecar": "full"}
    run(job(**common, output__url=str(tmp_path / "other")))
    keys = [row["key"] for row in rows(tmp_path / "other")]
    config = job(**common, input__meta=write_texts(tmp_path / "texts.jsonl", keys))
    notes = [
        "age is a number in 18 rows and missing in 6: it becomes text",
        "speaker is a number in 12 rows and text in 12: it becomes text",
    ]
    assert plan(config).describe()["metadata_notes"] == notes
    events: list[Event] = []
    run(config, events.append)
    assert [event.words for event in events if isinstance(event, MetadataConverted)] == notes
    places = [number for number, event in enumerate(events) if isinstance(event, MetadataConverted | ShardCommitted)]
    assert isinstance(events[places[0]], MetadataConverted)
    assert_whole(out, 24)
    found = [row["meta"] for row in rows(out)]
    assert {json.dumps({name: type(value).__name__ for name, value in meta.items()}) for meta in found} == {
        '{"age": "str", "speaker": "str", "text": "str"}'
    }
    assert [meta["text"] for meta in found] == [""] * 6 + [f"says {key}" for key in keys[6:]]
    described = json.loads((out / "job.json").read_bytes())["metadata"]
    assert described["fields"] == {"speaker": "text", "text": "text", "age": "text"}
    assert described["notes"] == notes


def test_a_field_that_is_new_in_one_row_is_written_in_all_of_them(job: Build, store: Path, tmp_path: Path) -> None:
    keys = [str(key) for key in zarr.open_group(store)["keys"][:]]
    out, texts = tmp_path / "audio", tmp_path / "texts.jsonl"
    texts.write_text("".join(json.dumps({"key": key, "text": "x"}) + "\n" for key in keys))
    run(job(input__meta=str(texts)))
    pcm = digests(out)
    with open(texts, "w") as file:
        file.writelines(
            json.dumps({"key": key, "text": "x"} | ({"age": 3} if at == 0 else {})) + "\n"
            for at, key in enumerate(keys)
        )
    planned = plan(job(input__meta=str(texts)))
    assert (planned.texts_changed, planned.shards_to_decode) == (1, ())
    counts = {shard.reason: len(shard.members) for shard in planned.todo}
    assert sorted({reason.partition(" of ")[0] for reason in counts}) == ["1", "the fields"]
    run(job(input__meta=str(texts)))
    assert {json.dumps(sorted(row["meta"])) for row in rows(out)} == {'["age", "text"]'}
    assert digests(out) == pcm
    assert_whole(out, 24)
    assert run(job(input__meta=str(texts))).run_id == ""


def test_fields_are_found_once_and_then_read_from_job_json(
    job: Build, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [str(key) for key in zarr.open_group(store)["keys"][:]]
    config = job(input__meta=write_texts(tmp_path / "texts.jsonl", keys))
    run(config)
    notes = plan(config).metadata_notes
    assert notes

    class Unread:
        def of(self, *arguments: object) -> None:
            raise AssertionError("the metadata was read again")

    with monkeypatch.context() as patch:
        patch.setattr(utterance_metadata.Fields, "of", Unread().of)
        assert plan(config).metadata_notes == notes
        assert run(config).run_id == ""
    (tmp_path / "audio" / "job.json").unlink()
    assert plan(config).metadata_notes == notes
    assert plan(config).todo == ()


def test_texts_that_are_no_json_and_utterances_with_faults_do_not_count(job: Build, store: Path) -> None:
    group = zarr.open_group(store)
    texts = np.array(['{"n": 1}'] * 24, np.dtypes.StringDType())
    texts[3], texts[4], texts[5] = "broken", '["no object"]', ""
    group.create_array("meta", shape=(24,), dtype=str)[...] = texts
    offsets = group["offsets"][:]
    offsets[6] = offsets[5]  # utterance 5 has no frames
    group["offsets"][:] = offsets
    assert plan(job(quality__max_failure_rate=1)).metadata_notes == ()
