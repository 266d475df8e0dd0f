"""Texts and jobs are shown without the paths, machines and secrets of those who made them."""

import pytest

from pipeline.report.private_texts import PrivateTexts

TEXTS = PrivateTexts({"s3://bucket/corpus/mels.zarr": "mels.zarr", "/data/anna's corpus/out": "out"})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("reading s3://bucket/corpus/mels.zarr/c/0", "reading mels.zarr/c/0"),
        ("writing /data/anna's corpus/out/data/x.tar", "writing out/data/x.tar"),
        ("no such file: '/home/anna/.cache/melmill/x.onnx'", "no such file: 'x.onnx'"),
        ("see file:///srv/mels/a.npy and ~/secret/b.npy", "see a.npy and b.npy"),
        ("its worker tcp://10.0.0.7:40123 died", "its worker a worker died"),
        ("https://me:password@host/a?sig=abc", "https://host/a?..."),
        ("mel[3, 0] of a/b.zarr; 5/7 utterances, 1/2", "mel[3, 0] of a/b.zarr; 5/7 utterances, 1/2"),
    ],
)
def test_a_text_is_shown_without_what_is_private(text: str, shown: str) -> None:
    assert TEXTS.shown(text) == shown


def test_values_are_cleaned_at_any_depth() -> None:
    value = {"a": ["/home/anna/x", {"b": "tcp://h:1"}], "n": 3, "none": None, "yes": True}
    assert TEXTS.value(value) == {"a": ["x", {"b": "a worker"}], "n": 3, "none": None, "yes": True}
