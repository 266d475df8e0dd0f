"""The three kinds of config that describe HiFi-GAN's generator: its authors', Coqui's and NeMo's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.checkpoints.family import Settings
from pipeline.checkpoints.hifigan_config import GeneratorShape, HifiganConfig
from pipeline.errors import ConfigError
from pipeline.melspec import MelSpec, Normalization
from pipeline.melspec.spec import Log

# coqui-ai/TTS, config/shared_configs.py, BaseAudioConfig: the values of keys that a config leaves out.
_COQUI_DEFAULTS: Mapping[str, Any] = {
    "log_func": "np.log10", "spec_gain": 20, "signal_norm": True, "symmetric_norm": True, "clip_norm": True,
    "min_level_db": -100, "ref_level_db": 20, "max_norm": 4.0, "stats_path": None, "preemphasis": 0.0,
    "stft_pad_mode": "reflect", "do_amp_to_db_mel": True, "mel_fmax": None,
}  # fmt: skip
_COQUI_LOGS: tuple[tuple[str, int, Log], ...] = (("np.log", 1, "ln"), ("np.log10", 1, "log10"), ("np.log10", 20, "db"))
# utils/audio/numpy_transforms.py, amp_to_db.
_COQUI_FLOOR = 1e-8


@dataclass(frozen=True)
class Described:
    """What a config says.

    Args:
        shape: shape of the generator.
        spec: function that makes the contract of its mels; raises ConfigError if the config lacks something.
        post_bias: whether the last layer has a bias.
        takes_stats: whether the mels are normalized by statistics in a separate file.
    """

    shape: GeneratorShape
    spec: Callable[[], MelSpec]
    post_bias: bool = True
    takes_stats: bool = False


def describe(settings: Settings, stats: Normalization | None) -> Described:
    """What a config of any of the three projects says. Its keys tell which project wrote it.

    Raises:
        ConfigError: if it lacks something, or a value is impossible.
    """
    inner = settings.values.get("model")
    nemo = inner if isinstance(inner, Mapping) else settings.values
    try:
        if "generator_model_params" in settings.values:
            return _coqui(settings, stats)
        if isinstance(nemo.get("generator"), Mapping):
            return _nemo(nemo)
        shape = GeneratorShape.from_dict(settings.values)
    except ConfigError as error:
        raise ConfigError(
            f"{settings.where}: {error}; give the config of this checkpoint with --config FILE"
        ) from error
    return Described(shape, lambda: HifiganConfig.from_dict(settings.values).mel_spec())


def _coqui(settings: Settings, stats: Normalization | None) -> Described:
    params, audio = (settings.section("Coqui", name) for name in ("generator_model_params", "audio"))
    named = {
        "resblock": "resblock_type", "upsample_rates": "upsample_factors",
        "upsample_kernel_sizes": "upsample_kernel_sizes", "upsample_initial_channel": "upsample_initial_channel",
        "resblock_kernel_sizes": "resblock_kernel_sizes", "resblock_dilation_sizes": "resblock_dilation_sizes",
    }  # fmt: skip
    plain = {ours: params[theirs] for ours, theirs in named.items() if theirs in params}
    # vocoder/models/__init__.py, setup_generator: the mels' bands are the generator's inputs.
    shape = GeneratorShape.from_dict(plain | {"num_mels": audio.get("num_mels", params.get("in_channels"))})
    return Described(
        shape,
        lambda: _coqui_spec(audio, stats),
        post_bias=params.get("conv_post_bias", True) is not False,
        takes_stats=bool(audio.get("signal_norm", True) and audio.get("stats_path")),
    )


def _coqui_spec(audio: Mapping[str, Any], stats: Normalization | None) -> MelSpec:
    """utils/audio/processor.py, AudioProcessor.melspectrogram and .normalize."""
    found = {**_COQUI_DEFAULTS, **audio}
    names = ("sample_rate", "fft_size", "hop_length", "win_length", "num_mels", "mel_fmin")
    sizes = require(found, "Coqui's audio section", *names)
    for name, wanted in (("preemphasis", (0, 0.0)), ("stft_pad_mode", ("reflect",)), ("do_amp_to_db_mel", (True,))):
        if found[name] not in wanted:
            raise ConfigError(
                f"Coqui's audio section: {name} is {found[name]!r:.40}, which a mel contract of melmill cannot express"
            )
    function, gain = found["log_func"], found["spec_gain"]
    log: Log | None = next((log for name, times, log in _COQUI_LOGS if (name, times) == (function, gain)), None)
    if log is None:
        raise ConfigError(
            f"Coqui's audio section: log_func {function!r:.40} with spec_gain {gain!r:.40} is not one of "
            f"{', '.join(f'{name} with {times}' for name, times, _ in _COQUI_LOGS)}"
        )
    return MelSpec(
        sample_rate=sizes["sample_rate"], n_fft=sizes["fft_size"], hop_length=sizes["hop_length"],
        win_length=sizes["win_length"], n_mels=sizes["num_mels"], fmin=sizes["mel_fmin"],
        fmax=sizes["sample_rate"] / 2 if found["mel_fmax"] is None else found["mel_fmax"],
        mel_scale="slaney", mel_norm="slaney", power=1, log=log, floor=_COQUI_FLOOR,
        framing="center", normalization=_coqui_normalization(found, stats) if found["signal_norm"] else None,
    )  # fmt: skip


def _coqui_normalization(found: Mapping[str, Any], stats: Normalization | None) -> Normalization:
    if found["stats_path"]:
        if stats is None:
            raise ConfigError(
                "Coqui's audio section names stats_path, a pickled file; give its mel_mean and mel_std as .npy "
                "[2, n_mels] with --stats FILE"
            )
        return stats
    low, reference, top = (found[name] for name in ("min_level_db", "ref_level_db", "max_norm"))
    if not all(isinstance(value, int | float) for value in (low, reference, top)) or low >= 0 or top <= 0:
        raise ConfigError(
            f"Coqui's audio section: min_level_db {low!r:.40}, ref_level_db {reference!r:.40} and max_norm {top!r:.40} "
            "do not describe a normalization"
        )
    # (value - ref - min) / -min is 0 .. 1, then onto -max_norm .. max_norm, or 0 .. max_norm.
    mean, scale, least = reference + low, -low / top, 0.0
    if found["symmetric_norm"]:
        mean, scale, least = reference + low / 2, -low / (2 * top), -float(top)
    return Normalization((float(mean),), (float(scale),), (least, float(top)) if found["clip_norm"] else None)


def _nemo(values: Mapping[str, Any]) -> Described:
    plain = dict(values["generator"])
    # examples/tts/conf/hifigan/model/generator: 1 or 2; modules/hifigan_modules.py: initial_input_size=80.
    plain["resblock"] = str(plain.get("resblock"))
    plain["num_mels"] = plain.get("initial_input_size", 80)
    return Described(GeneratorShape.from_dict(plain), lambda: _nemo_spec(values.get("preprocessor")))


def _nemo_spec(given: Any) -> MelSpec:
    """asr/parts/preprocessing/features.py, FilterbankFeatures, with its defaults."""
    if not isinstance(given, Mapping):
        raise ConfigError("NeMo's config lacks the section preprocessor, which says what mels it takes")
    defaults: dict[str, Any] = {
        "preemph": 0.97, "normalize": "per_feature", "log": True, "mag_power": 2.0, "exact_pad": False,
        "log_zero_guard_type": "add", "window": "hann", "mel_norm": "slaney", "lowfreq": 0, "highfreq": None,
    }  # fmt: skip
    found = {**defaults, "nfilt": given.get("features", 64), **given}
    for name, wanted in (
        ("preemph", (None,)), ("normalize", (None,)), ("log", (True,)), ("exact_pad", (True,)), ("window", ("hann",)),
        ("mel_norm", ("slaney",)), ("log_zero_guard_type", ("clamp", "add")),
    ):  # fmt: skip
        if found[name] not in wanted:
            raise ConfigError(
                f"NeMo's preprocessor: {name} is {found[name]!r:.40}, which a mel contract of melmill cannot express"
            )
    sizes = require(
        found, "NeMo's preprocessor", "sample_rate", "n_fft", "n_window_size", "n_window_stride", "log_zero_guard_value"
    )
    return MelSpec(
        sample_rate=sizes["sample_rate"], n_fft=sizes["n_fft"], hop_length=sizes["n_window_stride"],
        win_length=sizes["n_window_size"], n_mels=found["nfilt"],
        fmin=found["lowfreq"], fmax=found["highfreq"] or sizes["sample_rate"] / 2, mel_scale="slaney",
        mel_norm="slaney", power=whole_power(found["mag_power"]), log="ln",
        floor=sizes["log_zero_guard_value"],
        framing="same", window="symmetric", flooring="max" if found["log_zero_guard_type"] == "clamp" else "add",
    )  # fmt: skip


def require(values: Mapping[str, Any], where: str, *names: str) -> dict[str, Any]:
    """The numbers in a config under those names.

    Args:
        values: the config.
        where: name of the config, for messages.
        names: keys of the numbers.

    Raises:
        ConfigError: if the config lacks a key, or its value is not a number.
    """
    if missing := [name for name in names if values.get(name) is None]:
        raise ConfigError(f"{where} lacks {', '.join(missing)}")
    for name in names:
        if not isinstance(values[name], int | float) or isinstance(values[name], bool):
            raise ConfigError(f"{where} has {name} {values[name]!r:.60}, which is not a number")
    return {name: values[name] for name in names}


def whole_power(value: Any) -> Literal[1, 2]:
    """The power of mels, 1 (magnitudes) or 2 (powers), from an integer or a float.

    Raises:
        ConfigError: if it is another number.
    """
    if value not in (1, 2):
        raise ConfigError(f"its mels are of magnitudes to the power {value!r:.40}; melmill reads 1 and 2")
    return 1 if value == 1 else 2
