"""`vocoder check` on a small model of every family: what the builders state holds, and one frame less does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import onnx
import pytest
from support.families import CONFIGS, random_model

from pipeline.workshop.check import check_vocoder


@pytest.mark.parametrize("runtime", ["auto", "onnxruntime"])
@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_does_what_its_card_states_and_does_not_speak_untrained(
    family: str, runtime: Literal["auto", "onnxruntime"], tmp_path: Path
) -> None:
    report = check_vocoder(str(random_model(family, tmp_path / f"{family}.onnx")), runtime=runtime)
    assert (report.runtime == "native") == (runtime == "auto" and family != "vocos")
    assert report.problems == ()
    assert report.extra == (-16 if family == "vocos" else 0)
    assert not report.verdict.fits
    assert report.verdict.apart > 1


@pytest.mark.parametrize("family", [name for name in CONFIGS if name != "bigvgan"])  # whose last taps weigh nothing
@pytest.mark.parametrize("side", [0, 1])
def test_a_halo_of_one_frame_less_is_found_too_small(family: str, side: int, tmp_path: Path) -> None:
    path = random_model(family, tmp_path / f"{family}.onnx")
    model = onnx.load_model(path)
    (entry,) = [each for each in model.metadata_props if each.key == "melmill"]
    card = json.loads(entry.value)
    card["halo"][side] -= 1
    entry.value = json.dumps(card)
    path.write_bytes(model.SerializeToString())
    report = check_vocoder(str(path), runtime="onnxruntime")
    assert report.exit_code == 2
    assert f"{card['halo'][0]} frames left and {card['halo'][1]} right, is too small" in report.problems[0]
