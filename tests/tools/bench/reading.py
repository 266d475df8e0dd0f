"""Reading of whole stores: a grouped one, as people write it, beside the same mels in the ragged layout."""

from pathlib import Path

import zarr
from tools.bench.corpora import Corpus, Kind, store
from tools.bench.loops import LENGTHS
from tools.bench.measuring import Contender, Group, Row, alternated, speeds

import pipeline

SECONDS: dict[Kind, float] = {"speech": 600, "short": 600}
GROUPED, RAGGED = "grouped", "ragged"


def rows(folder: Path, rounds: int) -> list[Row]:
    """A row for each layout and kind of utterances: an utterance of a store that is opened, listed and read.

    Args:
        folder: an empty folder.
        rounds: number of rounds.
    """
    groups, counts = [], []
    for kind, seconds in SECONDS.items():
        (folder / kind).mkdir(parents=True)
        ragged = store(folder / kind / "ragged.zarr", kind, seconds)
        places = {GROUPED: _grouped(ragged, folder / kind / "grouped.zarr"), RAGGED: ragged.path}
        contenders = [Contender(by, ("reading", str(path))) for by, path in places.items()]
        groups.append(Group(f"reading of an utterance of {LENGTHS[kind]}", ragged.seconds, contenders))
        counts += [ragged.utterances] * len(contenders)
    found = []
    for row, count in zip(alternated(groups, folder, rounds), counts, strict=True):
        times = ([each / count for each in values] for values in (row.cpu, row.wall))
        found.append(Row(row.what, row.by, *times, row.audio_seconds / count, {}, row.largest_difference))
    for grouped, ragged_row in zip(found[::2], found[1::2], strict=True):
        ragged_row.compared[f"x the speed of {GROUPED}"] = speeds(ragged_row, grouped)
    return found


def _grouped(corpus: Corpus, path: Path) -> Path:
    """The same mels, an array of one chunk each, `[n_mels, frames]`."""
    opened = pipeline.open_store(str(corpus.path))
    group = zarr.open_group(str(path), mode="w")
    for each in opened.catalogue():
        mel = opened.read(each)
        group.create_array(each.key, data=mel, chunks=mel.shape)
    return path
