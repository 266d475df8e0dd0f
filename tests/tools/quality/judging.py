"""One utterance, judged: its rows of figures, and its audio where a page to listen to is wanted."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from support.quality_metrics import measure
from tools.quality.kinds import MODEL_B, prepared
from tools.quality.listening import audio_path
from tools.quality.speech import SPEC, Wave
from tools.quality.systems import OF_LIFT, RECORDING, vocoded, weights

Row = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """An utterance, and the kinds of mel and systems that are left to do.

    Args:
        voice, name: of the utterance.
        recording: `[samples] float32` at the spec's rate.
        folds: folder of the lifts that were trained without a voice.
        net: model B's weights for this voice; None if no mel of it is wanted.
        to_measure: kinds and systems without figures.
        to_hear: kinds and systems without audio in the page.
        page: folder of the page.
    """

    voice: str
    name: str
    recording: Wave
    folds: Path | None
    net: Path | None
    to_measure: list[tuple[str, str]]
    to_hear: list[tuple[str, str]]
    page: Path | None


def judge(task: Task) -> list[Row]:
    """The figures of an utterance by kinds of mel and systems."""
    rows = []
    kinds: dict[str, Any] = {}
    for kind, system in dict.fromkeys([*task.to_measure, *task.to_hear]):
        if kind not in kinds:
            kinds = {kind: prepared(kind, task.recording, task.net)}
        utterance = kinds[kind]
        made = utterance.reference if system == RECORDING else vocoded(system, task.voice, utterance.given, task.folds)
        if (kind, system) in task.to_hear:
            assert task.page is not None
            path = task.page / audio_path(kind, system, task.voice, task.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.clip(made, -1, 1), SPEC.sample_rate, subtype="PCM_16")
        if (kind, system) in task.to_measure:
            row = {"voice": task.voice, "utterance": task.name, "kind": kind, "system": system}
            row |= {"fold": weights(task.folds, task.voice), "net": _made_by(kind, task.net)}
            rows.append(row | measure(utterance.reference, made, utterance.clean, SPEC))
    return rows


def kept_rows(path: Path | None, folds: Path | None, nets: dict[str, Path]) -> list[Row]:
    """The rows of an earlier run that are of the same weights, and of mels of the same nets where those are wanted."""
    if path is None or not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        row
        for row in rows
        if (row["system"] not in OF_LIFT or row["fold"] == weights(folds, row["voice"]))
        and (row["kind"] != MODEL_B or row["net"] == _made_by(MODEL_B, nets.get(row["voice"])))
    ]


def _made_by(kind: str, net: Path | None) -> str | None:
    """The digest that model B's mels were made by."""
    return net.stem if kind == MODEL_B and net is not None else None
