"""What a card says of an export: it counts the rows, and writes README.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.output.published_rows import last_part
from pipeline.views.card import CARD, Features, card
from pipeline.views.export_format import Making
from pipeline.views.rows import ExportRow


class DataSetCard:
    """The card of an export.

    Args:
        making: what the export is made with.
    """

    def __init__(self, making: Making) -> None:
        self._making = making
        self._rates: set[int] = set()
        self._counts: dict[str, tuple[int, float]] = {}
        self.extensions: set[str] = set()

    def add(self, row: ExportRow) -> None:
        """Count the next row."""
        self._rates.add(row.row.sample_rate)
        self.extensions.add(row.row.member.rpartition(".")[2])
        count, seconds = self._counts.get(row.split, (0, 0.0))
        self._counts[row.split] = count + 1, seconds + row.row.duration

    @property
    def sample_rate(self) -> int:
        """Sample rate of all audio [Hz]; 0 if there are several."""
        return next(iter(self._rates)) if len(self._rates) == 1 else 0

    def write(self, data_files: Mapping[str, str | Sequence[str]], features: Features) -> None:
        """Write it. The arguments are those of `card`."""
        files = self._making.files
        files.write(CARD, card(files.earlier(CARD), data_files, features, self._told()))

    def _told(self) -> str:
        rows = [f"| `{split}` | {count:,} | {seconds / 3600:.2f} |" for split, (count, seconds) in self._counts.items()]
        rates = ", ".join(f"{rate} Hz" for rate in sorted(self._rates))
        lines = [
            f"Speech that melmill has made: the output `{last_part(self._making.source.url)}`, {rates}.",
            "",
            "| split | utterances | hours |",
            "|---|---|---|",
            *rows,
            "",
            "```python",
            "from datasets import load_dataset",
            "",
            'data = load_dataset("FOLDER OR REPOSITORY")',
            "```",
        ]
        return "\n".join(lines)
