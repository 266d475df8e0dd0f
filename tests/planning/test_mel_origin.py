"""What mels are of is decided once for an output, by their values, and never again unless the user says otherwise."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import soundfile
import soxr
from support.paths import PROMPTS

from pipeline.config import VocoderConfig
from pipeline.dsp.mel import log_mel
from pipeline.evidence import Sample
from pipeline.melspec import PRESETS
from pipeline.planning.mel_origin import Decided, decide_origin
from pipeline.vocoders import Vocoder, load_vocoder

SPEC = PRESETS["hifigan-22k"]


@functools.cache
def sample(smooth: bool) -> Sample:
    mels = []
    for path in sorted(PROMPTS.glob("*/*.flac"))[::4]:
        mel = log_mel(soxr.resample(soundfile.read(path, dtype="float32")[0], 16000, 22050), SPEC)
        mels.append(np.asarray(scipy.ndimage.uniform_filter(mel, (3, 3)), np.float32) if smooth else mel)
    return Sample(tuple(mels), len(mels))


def unread() -> Sample:
    raise AssertionError("the store was read")


def vocoder(name: str) -> Vocoder:
    return load_vocoder(name, SPEC)


def described(**section: Any) -> dict[str, Any]:
    return {"job": {"vocoder": section}}


@pytest.mark.parametrize("name", ["lift", "griffin-lim"])
@pytest.mark.parametrize(("smooth", "origin"), [(False, "recorded"), (True, "predicted")])
def test_a_new_output_is_decided_by_the_values(name: str, smooth: bool, origin: str) -> None:
    config = VocoderConfig(name=name)
    found = decide_origin(config, vocoder(name), None, lambda: sample(smooth), SPEC)
    assert (found.config.origin, found.config.refinements) == (origin, 0)
    assert found.why is not None
    assert "neighbouring frames differ by" in found.why


def test_what_the_user_says_decides_and_the_store_is_not_read() -> None:
    config = VocoderConfig(name="lift", mels="predicted", refine=0)
    for begun in (None, described(name="lift", mels="recorded"), described(name="lift")):
        found = decide_origin(config, vocoder("lift"), begun, unread, SPEC)
        assert (found.config, found.why) == (config, "as vocoder.mels says")


@pytest.mark.parametrize(
    ("section", "origin"),
    [({"mels": "predicted"}, "predicted"), ({"mels": "recorded"}, "recorded"), ({}, "recorded")],
    ids=["predicted", "recorded", "of a melmill without the key"],
)
def test_an_output_that_was_begun_keeps_its_origin_and_the_store_is_not_read(
    section: dict[str, str], origin: str
) -> None:
    begun = described(name="lift", **section)
    found = decide_origin(VocoderConfig(name="lift"), vocoder("lift"), begun, unread, SPEC)
    assert (found.config.origin, found.why) == (origin, "as when the output was begun")


def test_an_output_of_another_vocoder_is_decided_by_the_values() -> None:
    begun = described(name="hifigan-universal", refine=0)
    found = decide_origin(VocoderConfig(name="lift"), vocoder("lift"), begun, lambda: sample(True), SPEC)
    assert found.config.origin == "predicted"


@pytest.mark.parametrize(("smooth", "refine"), [(False, 0.8), (True, 0)])
def test_auto_refines_nets_on_recorded_mels_alone(smooth: bool, refine: float) -> None:
    config = VocoderConfig()
    assert config.refine == "auto"
    net = load_vocoder(config.name, SPEC, refine="auto")
    found = decide_origin(config, net, None, lambda: sample(smooth), SPEC)
    assert found.config.refine == refine
    assert found.config.origin == ("predicted" if smooth else "recorded")


@pytest.mark.parametrize(("section", "refine"), [({"refine": 2}, 2), ({"refine": 0.5}, 0.5), ({}, 0)])
def test_auto_keeps_the_refinement_that_an_output_was_begun_with(section: dict[str, float], refine: float) -> None:
    config = VocoderConfig()
    found = decide_origin(config, vocoder(config.name), described(name=config.name, **section), unread, SPEC)
    assert (found.config.refine, found.config.origin) == (refine, "recorded")
    again = decide_origin(config, vocoder(config.name), described(**found.config.model_dump()), unread, SPEC)
    assert again == found


def test_a_file_that_is_named_as_a_judged_net_is_not_judged(vocoder_path: Path, tmp_path: Path) -> None:
    path = shutil.copy(vocoder_path, tmp_path / "hifigan-universal.onnx")
    assert load_vocoder("hifigan-universal", refine="auto").backend.refine == 0.8
    assert load_vocoder(str(path), refine="auto").backend.refine == 0
    found = decide_origin(VocoderConfig(name=str(path)), load_vocoder(str(path)), None, unread, SPEC)
    assert (found.config.refine, found.config.origin) == (0, None)


def test_the_other_origin_has_its_own_refinement_also_in_an_output_that_was_begun() -> None:
    begun = described(name="hifigan-universal", mels="recorded", refine=0.8)
    found = decide_origin(VocoderConfig(mels="predicted"), vocoder("hifigan-universal"), begun, unread, SPEC)
    assert (found.config.origin, found.config.refine) == ("predicted", 0)
    back = described(**found.config.model_dump())
    again = decide_origin(VocoderConfig(mels="recorded"), vocoder("hifigan-universal"), back, unread, SPEC)
    assert (again.config.origin, again.config.refine) == ("recorded", 0.8)


def test_a_net_that_is_not_refined_treats_all_mels_alike(vocoder_path: Path) -> None:
    config = VocoderConfig(refine=0)
    assert decide_origin(config, vocoder(config.name), None, unread, SPEC) == Decided(config, None)
    unjudged = VocoderConfig(name=str(vocoder_path))
    found = decide_origin(unjudged, load_vocoder(unjudged.name, SPEC, refine="auto"), None, unread, SPEC)
    assert (found.config.refine, found.config.origin, found.why) == (0, None, None)


@pytest.mark.parametrize("mels", [(), (np.zeros((80, 5), np.float32),)], ids=["none", "too short"])
def test_mels_that_say_nothing_are_taken_as_recorded(mels: tuple[Any, ...]) -> None:
    found = decide_origin(VocoderConfig(name="lift"), vocoder("lift"), None, lambda: Sample(mels, len(mels)), SPEC)
    assert (found.config.origin, found.why) == ("recorded", "too few values to tell")
