"""huggingface: tars with a card, so that `load_dataset(DEST)` and the Hub read them, each split with its features.

    README.md               the card: configs, features, and a text for people
    data/SPLIT-000000.tar   links to the tars of the output, or with --audio new tars; none if readers find tars at URLs

In the output itself it is the card alone, which names the tars of now.

Rules: datasets 5.2.0, packaged_modules/webdataset: without features in the card it takes those of the first samples,
and a field that these lack is lost. Columns are `flac` or `wav`, and `json` with what the manifest says.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.config import Sidecar
from pipeline.planning.fields import FieldType
from pipeline.views.card import Features, features_of
from pipeline.views.columns import OWN_TYPES
from pipeline.views.data_set_card import DataSetCard
from pipeline.views.export_format import Making
from pipeline.views.rows import ExportRow
from pipeline.views.tars import exported_tars

_PLAIN = ("key", "sample_rate", "num_samples", "duration")
_FULL = (
    "key", "text", "speaker", "language", "sample_rate", "num_samples", "duration", "peak", "rms_dbfs", "mel_distance",
)  # fmt: skip


class HuggingFace:
    """See ExportFormat."""

    def __init__(self, making: Making) -> None:
        self._making = making
        self._tars = exported_tars(making, "data/{split}-{number:06d}.tar")
        self._card = DataSetCard(making)

    def problem(self, row: ExportRow) -> str | None:
        """See ExportFormat: of tars of the output, the texts may be stale."""
        return self._tars.problem(row)

    def add(self, row: ExportRow) -> None:
        """See ExportFormat."""
        self._card.add(row)
        self._tars.add(row)

    def finish(self) -> None:
        """See ExportFormat."""
        self._tars.finish()
        named = self._making.audio.by_url or self._making.audio.in_output
        data_files = {
            split: [each.url for each in tars] if named else f"data/{split}-*.tar"
            for split, tars in self._tars.by_split.items()
        }
        audio = dict.fromkeys(sorted(self._card.extensions), self._card.sample_rate)
        self._card.write(data_files, tar_features(self._making.types, audio, self._tars.sidecars))


def tar_features(types: Mapping[str, FieldType], audio: dict[str, int], sidecars: set[Sidecar]) -> Features:
    """The columns of tars.

    Args:
        types: name of each field of the metadata -> its type.
        audio: name of each column of audio -> its sample rate [Hz].
        sidecars: what lies beside the audio.
    """
    columns: dict[str, FieldType | Features] = {}
    if sidecars != {"none"}:
        own = {name: OWN_TYPES[name] for name in (_FULL if "full" in sidecars else _PLAIN)}
        columns["json"] = features_of({**own, **({"meta": features_of(types)} if types else {})})
    return features_of({**columns, "__key__": "text", "__url__": "text"}, audio)
