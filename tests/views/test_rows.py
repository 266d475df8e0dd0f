"""Which split an utterance belongs to, and the names of its fields."""

from collections import Counter
from typing import Any

import pytest

from pipeline.errors import ConfigError
from pipeline.output.records import Row, Source
from pipeline.views.options import ExportOptions, parse_split
from pipeline.views.rows import ExportRow, chosen_rows, exported_types

TYPES = {"spk": "text", "age": "integer", "lang": "text"}


def row(key: str, shard: str = "data/000001-1a2b3c4d.tar", **meta: Any) -> Row:
    return Row(
        key, shard, f"{key}.flac", 0, 1, 16000, 16000, 1.0, "PCM_16", "0", 0.5, -20.0, 0, None, None,
        Source("s", 0, "d"), meta,
    )  # fmt: skip


def split_of(rows: list[Row], **options: Any) -> dict[str, str]:
    asked = ExportOptions("wids", split=parse_split("train=0.8,dev=0.15,test=0.05"), **options)
    return {each.key: each.split for each in chosen_rows(rows, TYPES, asked)}


def test_utterances_keep_their_split_as_the_corpus_grows() -> None:
    few = [row(f"k{number}") for number in range(1000)]
    more = [row(f"k{number}") for number in range(3000)]
    assert {key: split for key, split in split_of(more).items() if int(key[1:]) < 1000} == split_of(few)
    shares = Counter(split_of(more).values())
    assert shares["train"] == pytest.approx(2400, abs=120)
    assert shares["dev"] == pytest.approx(450, abs=100)
    assert shares["test"] == pytest.approx(150, abs=60)


def test_a_split_is_that_of_this_very_key_for_ever() -> None:
    """People have trained on it."""
    assert split_of([row(key) for key in ("a", "b", "c", "00007", "ключ", "k4")]) == {
        "a": "train", "b": "train", "c": "train", "00007": "train", "ключ": "train", "k4": "test",
    }  # fmt: skip


@pytest.mark.parametrize("field", ["spk", "speaker", "age"])
def test_all_utterances_of_one_value_have_one_split(field: str) -> None:
    rows = [row(f"k{number}", spk=f"s{number % 40}", age=number % 40) for number in range(800)]
    found = split_of(rows, by=field)
    pairs = {(each.meta["spk"], found[each.key]) for each in rows}
    assert len(pairs) == 40
    assert {split for _, split in pairs} > {"train"}


def test_by_shard_a_shard_has_one_split_that_outlives_its_name() -> None:
    rows = [row(f"k{number}", f"data/{number // 10:06d}-1a2b3c4d.tar") for number in range(1000)]
    again = [row(f"k{number}", f"data/{number // 10:06d}-ffffffff.tar") for number in range(1000)]
    assert split_of(rows, by="shard") == split_of(again, by="shard")
    assert (
        len({(each.shard, split) for each, split in zip(rows, split_of(rows, by="shard").values(), strict=True)}) == 100
    )


def test_an_utterance_without_the_deciding_value_is_refused() -> None:
    with pytest.raises(ConfigError, match="--by speaker: 'b' has no speaker"):
        split_of([row("a", spk="s1"), row("b", spk="")], by="speaker")
    with pytest.raises(
        ConfigError, match=r"there is no field speeker \(did you mean speaker\?\)\. There are text, speaker"
    ):
        split_of([row("a", spk="s1")], by="speeker")


def test_fields_have_their_new_names_and_every_row_has_all_of_them() -> None:
    options = ExportOptions("wids", renamed=(("lang", "language"), ("age", "lang")))
    (found,) = chosen_rows([row("a", lang="de")], TYPES, options)
    assert found.row.meta == {"spk": "", "lang": None, "language": "de"}
    assert found.common == {"text": "", "speaker": "", "language": "de"}
    assert exported_types(TYPES, options) == {"spk": "text", "lang": "integer", "language": "text"}
    assert isinstance(found, ExportRow)


@pytest.mark.parametrize(
    ("renamed", "said"),
    [
        (
            (("langg", "x"),),
            r"--map langg=x: there is no field langg \(did you mean lang\?\)\. There are spk, age, lang",
        ),
        ((("lang", "spk"),), "the metadata has a field spk, too"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(renamed: tuple[tuple[str, str], ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        exported_types(TYPES, ExportOptions("wids", renamed=renamed))
