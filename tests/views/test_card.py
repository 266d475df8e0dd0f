"""The card of a data set: what readers read of it, and whose text it is."""

from typing import Any

import pytest
import yaml

from pipeline.errors import ConfigError
from pipeline.views.card import card, features_of

TYPES: dict[str, Any] = {
    "a": "text", "yes": "boolean", "1e5": "number", "2026-01-01": "integer", "list": {"list": "integer"},
    "deep": {"list": {"list": "text"}}, "place": {"object": {"x": "integer", "null": "text"}},
    "many": {"list": {"object": {"x": "number"}}}, "": "text", "quo\"te: #": "text", "ключ": "text",
}  # fmt: skip


def settings(text: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text.split("---\n")[1]))


def test_readers_read_every_name_as_it_is() -> None:
    """PyYAML, which Hugging Face uses, takes a bare `yes` for true and 2026-01-01 for a date."""
    found = settings(card("", {"train": "data/*.tar", "no": ["1.tar"]}, features_of(TYPES, {"audio": 22050}), "told"))
    assert found["configs"] == [
        {
            "config_name": "default",
            "data_files": [{"split": "train", "path": "data/*.tar"}, {"split": "no", "path": ["1.tar"]}],
        }
    ]
    features = {each["name"]: each for each in found["dataset_info"]["features"]}
    assert list(features) == ["audio", *TYPES]
    assert features["audio"]["dtype"] == {"audio": {"sampling_rate": 22050}}
    assert features["yes"]["dtype"] == "bool"
    assert features["list"]["sequence"] == "int64"
    assert features["deep"]["sequence"] == {"sequence": "string"}
    assert features["place"]["struct"] == [{"name": "x", "dtype": "int64"}, {"name": "null", "dtype": "string"}]
    assert features["many"]["list"] == [{"name": "x", "dtype": "float64"}]


def test_a_persons_text_and_settings_stay_and_what_melmill_said_is_replaced() -> None:
    mine = "---\nlicense: cc-by-4.0  # mine\nconfigs: []\n---\n\n# My corpus\n\n--- a line ---\n"
    first = card(mine, {"train": "a"}, [], "first words")
    assert first.index("# My corpus\n\n--- a line ---") < first.index("first words")
    own = first.replace("<!-- end of", "<!-- end of").replace("# My corpus", "# My new corpus") + "\nAfter it.\n"
    second = card(own, {"train": "b"}, [], r"second words \1")
    assert "first words" not in second
    assert r"second words \1" in second
    assert second.index("# My new corpus") < second.index("second words") < second.index("After it.")
    assert "license: cc-by-4.0  # mine" in second
    assert settings(second)["configs"][0]["data_files"] == [{"split": "train", "path": "b"}]
    assert card(second, {"train": "b"}, [], r"second words \1") == second


@pytest.mark.parametrize("before", ["---\na: [\n---\n", "---\n- a\n---\nmine"])
def test_settings_that_are_not_valid_are_refused(before: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s)README\.md .*Correct or delete them"):
        card(before, {"train": "a"}, [], "told")
