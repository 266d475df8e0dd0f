"""What the mels of a job are of, where the job leaves that open: recordings, or what an acoustic model predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.config import VocoderConfig
from pipeline.evidence import LEAST_IN_BANDS, LEAST_IN_TIME, Sample, smoothness
from pipeline.melspec import MelOrigin, MelSpec
from pipeline.vocoders import Vocoder, refinements, suits_mels


@dataclass(frozen=True)
class Decided:
    """A vocoder's section without `auto`, as far as it matters.

    Args:
        config: the section. Its `mels` is still `auto` if the vocoder treats all mels alike.
        why: what the origin of the mels was taken from, as text; None if it does not matter.
    """

    config: VocoderConfig
    why: str | None


def decide_origin(
    config: VocoderConfig,
    vocoder: Vocoder,
    described: Mapping[str, Any] | None,
    sample: Callable[[], Sample],
    spec: MelSpec,
) -> Decided:
    """Resolves `mels` and `refine`.

    An output that was begun keeps what it was begun with, so that no run makes shards again for this alone; the other
    origin, if the user states it, has its own number of refinements. Outputs of versions of melmill without these keys
    took all mels as recorded, and refined nothing.

    Args:
        config: the section of the job.
        vocoder: the vocoder, for mels of whatever origin.
        described: the output's job.json; None in a new output.
        sample: reads a sample of the store's mels.
        spec: contract of the mels.
    """
    begun = (described or {}).get("job", {}).get("vocoder")
    if begun is not None and begun.get("name") != config.name:
        begun = None  # all shards are made again anyway
    automatic = config.refine == "auto"
    if not suits_mels(vocoder) and not (automatic and refinements(config.name, vocoder.spec, "recorded")):
        return Decided(config.model_copy(update={"refine": 0.0}) if automatic else config, None)
    origin, why = _origin(config, begun, sample, spec)
    update: dict[str, Any] = {"mels": origin}
    if automatic:
        kept = begun if begun is not None and begun.get("mels", "recorded") in (origin, "auto") else None
        of_origin = refinements(config.name, vocoder.spec, origin)
        update["refine"] = of_origin if kept is None else float(kept.get("refine", 0))
    return Decided(config.model_copy(update=update), why)


def _origin(
    config: VocoderConfig, begun: Mapping[str, Any] | None, sample: Callable[[], Sample], spec: MelSpec
) -> tuple[MelOrigin, str]:
    if config.mels != "auto":
        return config.mels, "as vocoder.mels says"
    if begun is not None and (decided := begun.get("mels", "recorded")) != "auto":
        return decided, "as when the output was begun"
    mels = sample()
    found = smoothness(mels, spec) if mels.mels else None
    if found is None:
        return "recorded", "too few values to tell"
    origin: MelOrigin = "predicted" if found.as_predicted else "recorded"
    return origin, (
        f"neighbouring frames differ by {found.in_time:.2f} of what those of white noise do, bands by "
        f"{found.in_bands:.2f}; those of recordings by {LEAST_IN_TIME} and {LEAST_IN_BANDS} or more"
    )
