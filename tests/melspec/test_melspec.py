"""The mel contract: what it refuses, its presets, comparison, and conversions held against the real thing."""

import dataclasses
import json
import math

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import assume, given
from hypothesis import strategies as st
from support.paths import PROMPTS

from pipeline.dsp.mel import log_mel
from pipeline.errors import BadMelError, ConfigError, ContractError
from pipeline.melspec import PRESETS, MelSpec, Normalization, convert_mel, mel_spec, preset

PROMPT = PROMPTS / "fr_CA_f_June" / "transfer.flac"
HIFIGAN = PRESETS["hifigan-22k"]
COQUI = PRESETS["coqui"]
STYLETTS2 = PRESETS["styletts2-24k"]
NORMALIZED = Normalization(tuple(np.linspace(-7.0, -4.0, 80)), tuple(np.linspace(0.5, 2.0, 80)))


def changed(**fields):
    return dataclasses.replace(HIFIGAN, **fields)


@pytest.fixture(scope="module")
def speech():
    return soxr.resample(soundfile.read(PROMPT, dtype="float32")[0], 16000, 22050)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sample_rate": 0}, "sample_rate is 0; it must be a whole number from 1 to 1000000"),
        ({"n_fft": 10**8}, "n_fft is 100000000; it must be a whole number from 1 to 32768"),
        ({"n_mels": 10**400}, "n_mels is 1000"),
        ({"n_fft": 1024.0}, "n_fft is 1024.0; it must be a whole number"),
        ({"hop_length": -256}, "hop_length is -256"),
        ({"win_length": "1024"}, "win_length is '1024'"),
        ({"n_mels": True}, "n_mels is True"),
        ({"fmin": math.nan}, "fmin is nan; it must be a number up to 1e+06"),
        ({"fmax": math.inf}, "fmax is inf"),
        ({"fmax": None}, "fmax is None"),
        ({"fmax": 10**400}, "fmax is 1000"),
        ({"fmin": 0.0, "fmax": 1e-320}, "fmin + 1 <= fmax"),
        ({"floor": False}, "floor is False"),
        ({"magnitude_eps": math.inf}, "magnitude_eps is inf"),
        ({"mel_scale": "bark"}, "mel_scale is 'bark'; it must be one of slaney, htk"),
        ({"mel_norm": None}, "mel_norm is None; it must be one of slaney, none"),
        ({"log": "log2"}, "log is 'log2'; it must be one of ln, log10, db"),
        ({"framing": "left"}, "framing is 'left'; it must be one of same, center"),
        ({"power": 3}, "power is 3; it must be 1 or 2"),
        ({"n_fft": 1025, "framing": "center"}, "n_fft is 1025; it must be even"),
        ({"win_length": 2048}, "hop_length <= win_length <= n_fft, not 256, 2048, 1024"),
        ({"win_length": 200}, "hop_length <= win_length <= n_fft, not 256, 200, 1024"),
        ({"fmin": -1.0}, "fmin + 1 <= fmax <= sample_rate / 2 does not hold for -1.0, 8000.0, 22050"),
        ({"fmin": 8000.0}, "fmin + 1 <= fmax"),
        ({"fmax": 11026.0}, "fmin + 1 <= fmax <= sample_rate / 2"),
        ({"floor": 0.0}, "floor is 0.0; it must be 1e-37 or more"),
        ({"magnitude_eps": -1e-9}, "magnitude_eps is -1e-09; it must not be negative"),
        ({"power_floor": -1e-9}, "power_floor is -1e-09; it must not be negative"),
        ({"power_floor": math.nan}, "power_floor is nan"),
        ({"window": "hamming"}, "window is 'hamming'; it must be one of periodic, symmetric"),
        ({"flooring": ["max"]}, "flooring is ['max']; it must be one of max, add"),
        ({"filter_rate": 0}, "filter_rate is 0; it must be a whole number from 1 to 1000000"),
        ({"filter_rate": 16000, "fmax": 8001.0}, "fmax <= sample_rate / 2 does not hold for 0.0, 8001.0, 16000"),
        ({"hop_length": 255}, "an even n_fft - hop_length, not 1024 - 255"),
        ({"normalization": Normalization((0.0, 0.0), (1.0, 1.0))}, "normalization has 2 bands, n_mels is 80"),
    ],
)
def test_an_impossible_value_is_refused_with_its_name_and_value(fields, message):
    with pytest.raises(ConfigError) as refusal:
        changed(**fields)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("mean", "scale", "message"),
    [
        ((0.0, 1.0), (1.0,), "2 means, 1 scales"),
        ((math.nan,), (1.0,), "every mean must be from"),
        ((0.0,), (0.0,), "every scale must be from 1e-06"),
        ((0.0,), (-1.0,), "every scale must be from 1e-06"),
        ((0.0,), (math.inf,), "every scale must be from 1e-06"),
    ],
)
def test_an_impossible_normalization_is_refused(mean, scale, message):
    with pytest.raises(ConfigError, match=message):
        Normalization(mean, scale)


@pytest.mark.parametrize("clip", [(4.0, -4.0), (1.0, 1.0), (math.nan, 1.0), (-math.inf, 0.0)])
def test_an_impossible_clip_is_refused(clip):
    with pytest.raises(ConfigError, match="must be a lower and a higher value"):
        Normalization((0.0,), (1.0,), clip)


def test_an_odd_hop_is_allowed_where_frames_are_centred():
    assert changed(hop_length=275, framing="center").padding == 512


# Sources: the code named beside each preset in pipeline/melspec/presets.py.
SIZES = ("sample_rate", "n_fft", "hop_length", "win_length", "n_mels", "fmin", "fmax")
PLAIN = {"normalization": None, "magnitude_eps": 0, "window": "periodic", "flooring": "max", "power_floor": 0.0}
PLAIN |= {"mel_scale": "slaney", "mel_norm": "slaney", "power": 1, "filter_rate": None}
LN = {"log": "ln", "floor": 1e-5}
LOG10 = {"log": "log10", "floor": 1e-10, "framing": "center"}
HTK = {"mel_scale": "htk", "mel_norm": "none", "framing": "center"}
HIFI = LN | {"framing": "same", "magnitude_eps": 1e-9}
NEMO = LN | {"framing": "same", "window": "symmetric"}


@pytest.mark.parametrize(
    ("name", "sizes", "fields"),
    [
        ("hifigan-22k", (22050, 1024, 256, 1024, 80, 0, 8000), HIFI),
        ("tacotron2-22k", (22050, 1024, 256, 1024, 80, 0, 8000), LN | {"framing": "center"}),
        ("bigvgan-24k", (24000, 1024, 256, 1024, 100, 0, 12000), HIFI),
        ("bigvgan-44k-256", (44100, 1024, 256, 1024, 128, 0, 22050), HIFI),
        ("bigvgan-44k-512", (44100, 2048, 512, 2048, 128, 0, 22050), HIFI),
        ("vocos-24k", (24000, 1024, 256, 1024, 100, 0, 12000), LN | HTK | {"floor": 1e-7}),
        ("f5-vocos-24k", (24000, 1024, 256, 1024, 100, 0, 12000), LN | HTK),
        ("pwg-22k", (22050, 1024, 256, 1024, 80, 80, 7600), LOG10),
        ("pwg-24k", (24000, 2048, 300, 1200, 80, 80, 7600), LOG10),
        ("espnet", (16000, 1024, 256, 1024, 80, 80, 7600), LOG10 | {"power_floor": 1e-10}),
        ("nemo-22k", (22050, 1024, 256, 1024, 80, 0, 8000), NEMO),
        ("nemo-44k", (44100, 2048, 512, 2048, 80, 0, 22050), NEMO),
        (
            "coqui",
            (22050, 1024, 256, 1024, 80, 0, 11025),
            {"log": "db", "floor": 1e-8, "framing": "center"}
            | {"normalization": Normalization((-30.0,), (12.5,), (-4.0, 4.0))},
        ),
        ("speechbrain-22k", (22050, 1024, 256, 1024, 80, 0, 8000), LN | {"framing": "center"}),
        ("speechbrain-16k", (16000, 1024, 256, 1024, 80, 0, 8000), LN | {"framing": "center"}),
        ("speecht5-16k", (16000, 1024, 256, 1024, 80, 80, 7600), LOG10),
        (
            "styletts2-24k",
            (24000, 2048, 300, 1200, 80, 0, 8000),
            LN | HTK | {"power": 2, "flooring": "add", "filter_rate": 16000}
            | {"normalization": Normalization((-4.0,), (4.0,))},
        ),
    ],
)  # fmt: skip
def test_presets_have_the_values_of_the_code_that_they_stand_for(name, sizes, fields):
    assert preset(name) == MelSpec(**dict(zip(SIZES, sizes, strict=True)), **PLAIN | fields)


def test_every_preset_is_held_against_its_values():
    (mark,) = test_presets_have_the_values_of_the_code_that_they_stand_for.pytestmark
    assert [name for name, *_ in mark.args[1]] == list(PRESETS)


def test_an_unknown_preset_is_refused_with_the_names_that_there_are():
    with pytest.raises(ConfigError, match=r"'hifigan'.*hifigan-22k.*tacotron2-22k"):
        preset("hifigan")


@pytest.mark.parametrize(
    ("fields", "padding", "of_1000", "of_0"),
    [({}, 384, 3, 0), ({"framing": "center"}, 512, 4, 1), ({"hop_length": 300, "n_fft": 2048}, 874, 3, 0)],
)
def test_frames_and_padding_follow_the_framing(fields, padding, of_1000, of_0):
    spec = changed(**fields)
    assert (spec.padding, spec.frames(1000), spec.frames(0)) == (padding, of_1000, of_0)


def test_a_second_of_audio_lasts_a_second():
    assert changed(sample_rate=24000, hop_length=240).seconds(100) == 1.0


@pytest.mark.parametrize(
    ("fields", "silence"),
    [
        ({}, -11.512925),
        ({"floor": 1e-7}, -16.118096),
        ({"log": "log10", "floor": 1e-10}, -10),
        ({"log": "db"}, -100),
        ({"log": "db", "power": 2}, -50),
    ],
)
def test_silence_is_the_logarithm_of_the_floor(fields, silence):
    assert changed(**fields).silence == pytest.approx(silence, rel=1e-7)


EXACT = {
    "log": {"log": "log10"},
    "floor": {"floor": 1e-4},
    "normalization": {"normalization": NORMALIZED},
}
NEGLIGIBLE = {
    "magnitude_eps": {"magnitude_eps": 0.0},
    "power_floor": {"power_floor": 1e-10},
    "window": {"window": "symmetric"},
}
IMPOSSIBLE = {
    "sample_rate": {"sample_rate": 24000},
    "n_fft": {"n_fft": 2048},
    "hop_length": {"hop_length": 300},
    "win_length": {"win_length": 800},
    "n_mels": {"n_mels": 100},
    "fmin": {"fmin": 20.0},
    "fmax": {"fmax": 7600.0},
    "mel_scale": {"mel_scale": "htk"},
    "mel_norm": {"mel_norm": "none"},
    "power": {"power": 2},
    "framing": {"framing": "center"},
    "floor": {"floor": 1e-6},
    "magnitude_eps": {"magnitude_eps": 1e-5},
    "power_floor": {"power_floor": 1e-5},
    "flooring": {"flooring": "add"},
    "filter_rate": {"filter_rate": 16000},
}


@pytest.mark.parametrize(
    ("field", "change", "remedy"),
    [(field, change, "exact") for field, change in EXACT.items()]
    + [(field, change, "impossible") for field, change in IMPOSSIBLE.items()]
    + [(field, change, "negligible") for field, change in NEGLIGIBLE.items()],
)
def test_compare_names_the_field_both_values_and_whether_it_converts(field, change, remedy):
    (difference,) = HIFIGAN.compare(changed(**change))
    assert (difference.field, difference.remedy) == (field, remedy)
    if field == "floor":
        assert (difference.source, difference.target) == pytest.approx((HIFIGAN.floor, change[field]))
    else:
        assert (difference.source, difference.target) == (getattr(HIFIGAN, field), change[field])


def test_every_field_is_compared():
    named = EXACT.keys() | IMPOSSIBLE.keys() | NEGLIGIBLE.keys()
    assert {field.name for field in dataclasses.fields(MelSpec)} == named


def test_equal_contracts_do_not_differ_and_leave_the_mel_alone():
    mel = np.zeros((80, 3), np.float32)
    assert HIFIGAN.compare(changed()) == ()
    assert convert_mel(mel, HIFIGAN, changed()) is mel


@pytest.mark.parametrize("change", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_cannot_be_converted_is_refused_with_the_field_and_both_values(change):
    (field, value), *_ = change.items()
    with pytest.raises(ContractError) as refusal:
        convert_mel(np.zeros((80, 3), np.float32), HIFIGAN, changed(log="log10", **change))
    ours = "none" if field == "filter_rate" else getattr(HIFIGAN, field)
    words = "half a hop and one frame apart" if field == "framing" else "cannot be converted"
    assert f"{field}: {ours} -> {value} ({words})" in str(refusal.value)
    assert "log: " not in str(refusal.value)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ({}, {"log": "log10"}),
        ({"log": "log10"}, {}),
        ({"log": "db"}, {"log": "log10"}),
        ({"log": "db", "power": 2}, {"log": "ln", "power": 2}),
        ({"floor": 1e-7}, {"floor": 1e-3}),
        ({}, {"normalization": NORMALIZED}),
        ({"normalization": NORMALIZED}, {}),
        ({"normalization": NORMALIZED}, {"normalization": Normalization((1.0,) * 80, (3.0,) * 80)}),
        ({"log": "db", "floor": 1e-9, "normalization": NORMALIZED}, {"log": "log10", "floor": 1e-4}),
        ({"flooring": "add"}, {}),
        ({"flooring": "add"}, {"flooring": "add", "floor": 1e-3, "log": "log10"}),
        ({"floor": 1e-11}, {"flooring": "add"}),
        ({}, {"log": "db", "normalization": Normalization((-30.0,), (12.5,), (-4.0, 4.0))}),
        ({"log": "db", "normalization": Normalization((-30.0,), (12.5,), (-4.0, 4.0))}, {"floor": 1e-4}),
        ({"normalization": Normalization((-4.0,), (4.0,))}, {"normalization": NORMALIZED}),
    ],
)
def test_a_converted_mel_is_the_mel_of_the_audio_in_the_wanted_contract(speech, source, target):
    converted = convert_mel(log_mel(speech, changed(**source)), changed(**source), changed(**target))
    wanted = log_mel(speech, changed(**target))
    assert converted.dtype == np.float32
    # Single precision: a step of a value in [64, 128) is 8e-6, so that of a decibel in [-100, 20].
    np.testing.assert_allclose(converted, wanted, rtol=1e-6, atol=5e-6)


@pytest.mark.parametrize("change", NEGLIGIBLE.values(), ids=NEGLIGIBLE)
def test_what_is_negligible_changes_no_mel_of_speech_by_much(speech, change):
    mel = log_mel(speech, changed(**change))
    assert convert_mel(mel, changed(**change), HIFIGAN) is mel
    error = np.abs(mel - log_mel(speech, HIFIGAN))
    assert error.mean() < 0.002
    assert error.max() < (0.1 if "window" in change else 0.02)


def test_what_a_clip_cuts_off_below_is_a_floor():
    differences = {d.field: d for d in COQUI.compare(dataclasses.replace(COQUI, normalization=None))}
    assert differences["floor"].remedy == "impossible"
    assert str(differences["floor"]) == "floor: 0.0001 -> 1e-08 (cannot be converted)"
    (difference,) = COQUI.compare(dataclasses.replace(COQUI, normalization=None, floor=1e-4))
    assert str(difference) == "normalization: (value - -30) / 12.5, clipped to -4 .. 4 -> none (converts exactly)"


def test_a_value_clipped_from_above_does_not_convert_and_is_named():
    mel = np.zeros((80, 3), np.float32)
    mel[7, 2] = 4.0
    with pytest.raises(BadMelError, match=r"1 values are 4, to which .* clips, the first in band 7, frame 2"):
        convert_mel(mel, COQUI, dataclasses.replace(COQUI, normalization=None, floor=1e-4))
    assert convert_mel(mel, COQUI, dataclasses.replace(COQUI, window="symmetric")) is mel


BANDS = 5
FIVE = dataclasses.replace(HIFIGAN, n_mels=BANDS)


@st.composite
def normalizations(draw, clips):
    count = draw(st.sampled_from([1, BANDS]))
    mean = draw(st.lists(st.floats(-20, 20), min_size=count, max_size=count))
    scale = draw(st.lists(st.floats(0.05, 20), min_size=count, max_size=count))
    return Normalization(tuple(mean), tuple(scale), draw(clips))


@given(
    before=st.none() | normalizations(st.none()),
    after=st.none() | normalizations(st.none()),
    log=st.sampled_from(["ln", "log10", "db"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_normalizations_convert_exactly_both_ways(before, after, log, seed):
    linear = np.random.default_rng(seed).uniform(-11.5, 3, (BANDS, 7))
    first, second = (dataclasses.replace(FIVE, normalization=each) for each in (before, after))
    second = dataclasses.replace(second, log=log)
    mel = convert_mel(linear.astype(np.float32), FIVE, first)
    there = convert_mel(mel, first, second)
    wanted = linear.astype(np.float32) * second.log_scale
    if after is not None:
        wanted = (wanted - np.array(after.mean)[:, None]) / np.array(after.scale)[:, None]
    # A normalized value is rounded to single precision: 6e-8 of it, which the scale multiplies back.
    rounding = 1e-6 * (1 + np.abs(mel).max() * (1 if before is None else max(before.scale)))
    spread = second.log_scale / (1 if after is None else min(after.scale))
    np.testing.assert_allclose(there, wanted, rtol=1e-6, atol=rounding * spread + 1e-6)
    np.testing.assert_allclose(convert_mel(there, second, first), mel, rtol=1e-5, atol=1e-5 * (1 + np.abs(mel).max()))


@given(normalization=normalizations(st.just((-4.0, 4.0))), seed=st.integers(0, 2**32 - 1))
def test_a_clipping_normalization_gives_back_what_it_did_not_clip_and_refuses_the_rest(normalization, seed):
    mel = np.random.default_rng(seed).uniform(-11.5, 3, (BANDS, 7)).astype(np.float32)
    clipping = dataclasses.replace(FIVE, normalization=normalization)
    floor = float(np.exp(clipping.natural_floor().max()))
    assume(1e-5 <= floor <= 1e6)
    raw = dataclasses.replace(FIVE, floor=floor)
    clipped = convert_mel(mel, FIVE, clipping)
    assert clipped.min() >= -4
    assert clipped.max() <= 4
    if (clipped >= 4).any():
        with pytest.raises(BadMelError, match="the original values are lost"):
            convert_mel(clipped, clipping, raw)
    else:
        wanted = np.maximum(mel, raw.silence)
        np.testing.assert_allclose(
            convert_mel(clipped, clipping, raw), wanted, atol=2e-5 * (1 + max(normalization.scale))
        )


def test_a_floor_that_was_added_gives_its_values_back():
    added = dataclasses.replace(STYLETTS2, normalization=None)
    linear = np.geomspace(1e-5, 10.0, 80 * 4).reshape(80, 4)
    converted = convert_mel(np.log(linear + 1e-5).astype(np.float32), added, dataclasses.replace(added, flooring="max"))
    np.testing.assert_allclose(converted, np.log(linear), atol=3e-6)


POSITIVE = st.floats(1e-12, 1e3)


@st.composite
def specs(draw):
    n_fft = 2 * draw(st.integers(8, 2048))
    hop_length = 2 * draw(st.integers(1, n_fft // 2))
    n_mels = draw(st.integers(1, 12))
    sample_rate = draw(st.integers(8000, 96000))
    bands = st.lists(st.floats(-1e3, 1e3), min_size=n_mels, max_size=n_mels)
    scales = st.lists(st.floats(1e-6, 1e6), min_size=n_mels, max_size=n_mels)
    clips = st.none() | st.tuples(st.floats(-1e6, -1.0), st.floats(1.0, 1e6))
    normalization = st.builds(lambda m, s, clip: Normalization(tuple(m), tuple(s), clip), bands, scales, clips)
    normalization |= st.builds(lambda m, s: Normalization((m,), (s,)), st.floats(-1e3, 1e3), st.floats(1e-6, 1e6))
    return MelSpec(
        sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length,
        win_length=draw(st.integers(hop_length, n_fft)), n_mels=n_mels,
        fmin=draw(st.floats(0, 1000)), fmax=draw(st.floats(1001, sample_rate / 2)),
        mel_scale=draw(st.sampled_from(["slaney", "htk"])), mel_norm=draw(st.sampled_from(["slaney", "none"])),
        power=draw(st.sampled_from([1, 2])), log=draw(st.sampled_from(["ln", "log10", "db"])), floor=draw(POSITIVE),
        framing=draw(st.sampled_from(["same", "center"])), normalization=draw(st.none() | normalization),
        magnitude_eps=draw(st.floats(0, 1)), window=draw(st.sampled_from(["periodic", "symmetric"])),
        flooring=draw(st.sampled_from(["max", "add"])), power_floor=draw(st.floats(0, 1)),
        filter_rate=draw(st.none() | st.integers(sample_rate, 96000)),
    )  # fmt: skip


@given(spec=specs())
def test_a_spec_written_as_json_and_read_again_is_the_same_spec(spec):
    assert MelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_normalization_and_epsilon_may_be_left_out_of_a_written_spec():
    plain = HIFIGAN.to_dict()
    del plain["normalization"], plain["magnitude_eps"]
    assert MelSpec.from_dict(plain) == changed(magnitude_eps=0.0)


def test_an_unknown_key_is_refused_with_the_keys_that_there_are():
    with pytest.raises(ConfigError, match=r"unknown key hop; the keys are .*hop_length"):
        MelSpec.from_dict({**HIFIGAN.to_dict(), "hop": 256})


def test_every_missing_key_is_named():
    plain = HIFIGAN.to_dict()
    del plain["hop_length"], plain["floor"]
    with pytest.raises(ConfigError, match="missing key floor, hop_length"):
        MelSpec.from_dict(plain)


def test_a_spec_with_nothing_that_came_later_is_written_as_it_was_before():
    earlier = set(SIZES) | {"mel_scale", "mel_norm", "power", "log", "floor", "framing", "normalization"}
    assert HIFIGAN.to_dict().keys() == earlier | {"magnitude_eps"}
    assert STYLETTS2.to_dict().keys() == earlier | {"magnitude_eps", "flooring", "filter_rate"}


def test_a_preset_and_the_fields_that_differ_from_it_are_a_spec():
    stats = {"mean": [-2.0] * 80, "scale": [0.5] * 80}
    spec = mel_spec({"preset": "pwg-24k", "sample_rate": 22050, "normalization": stats})
    assert spec == dataclasses.replace(
        PRESETS["pwg-24k"], sample_rate=22050, normalization=Normalization((-2.0,) * 80, (0.5,) * 80)
    )
    assert mel_spec("coqui") is COQUI


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"preset": "pwg"}, "no mel preset is named 'pwg'"),
        ({"preset": ["pwg-24k"]}, "no mel preset is named"),
        ({"preset": "pwg-24k", "hop": 300}, "unknown key hop"),
        ({"sample_rate": 22050}, "missing key .* or add preset: NAME"),
        ({"preset": "coqui", "normalization": {"mean": 0, "scale": 1, "clip": [1]}}, "clip has 1 values"),
        ({"preset": "coqui", "normalization": {"mean": 0, "scale": "x"}}, "holds something that is not a number"),
    ],
)
def test_a_wrong_statement_of_a_spec_is_refused(stated, message):
    with pytest.raises(ConfigError, match=message):
        mel_spec(stated)


@pytest.mark.parametrize("given", [3, [0.0], {"mean": [0.0]}, {"mean": [0.0], "scale": [1.0], "axis": 0}])
def test_a_normalization_of_another_shape_is_refused(given):
    with pytest.raises(ConfigError, match="normalization must be null or hold mean and scale"):
        MelSpec.from_dict({**HIFIGAN.to_dict(), "normalization": given})


@pytest.mark.parametrize(
    ("name", "frames", "samples"),
    [("hifigan-22k", 0, 0), ("hifigan-22k", 3, 768), ("tacotron2-22k", 0, 0), ("tacotron2-22k", 3, 512)],
)
def test_samples_are_those_that_give_the_frames_again(name: str, frames: int, samples: int) -> None:
    assert PRESETS[name].samples(frames) == samples
    assert not frames or PRESETS[name].frames(samples) == frames
