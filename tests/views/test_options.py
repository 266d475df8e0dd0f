"""What a person may ask of an export."""

import pytest

from pipeline.errors import ConfigError
from pipeline.views.options import ExportOptions, parse_map, parse_split


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train", "'train' is not NAME=VALUE"),
        ("train=0.9,dev=x", "'x' is not a number"),
        ("train=0.9,dev=0.2", "add up to 1.1, not to 1"),
        ("train=0.9,train=0.1", "train stands there twice"),
        ("train=1,dev=0", "the share of dev is 0"),
        ("train=1.5,dev=-0.5", "the share of train is 1.5"),
        ("a/b=1", "'a/b' is no name of a split"),
        ("../a=1", "is no name of a split"),
        ("nan=nan", "the share of nan is nan"),
    ],
)
def test_splits_that_are_not_valid_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_split(text)


def test_shares_may_be_thirds() -> None:
    assert len(parse_split("a=0.3333333333,b=0.3333333333,c=0.3333333334")) == 3


@pytest.mark.parametrize(
    ("texts", "said"),
    [(["lang"], "is not NAME=VALUE"), (["a=b", "c=b"], "two fields cannot both become b"), (["=b"], "is not NAME")],
)
def test_new_names_that_are_not_valid_are_refused(texts: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_map(texts)


@pytest.mark.parametrize("base", ["audio", "s3://", "https://me:secret@host/a", "https://host/a?token=x", "/a/b"])
def test_a_base_is_a_url_without_secrets(base: str) -> None:
    with pytest.raises(ConfigError, match=r"--base .* must be the URL of the output") as error:
        ExportOptions("wids", base=base)
    assert "secret@" not in str(error.value)
    assert "token=x" not in str(error.value)
