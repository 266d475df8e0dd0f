"""A page stays small, however many utterances, shards and runs there are."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.output.published_manifest import PlainRow
from pipeline.output.records import ShardMaking, Stages
from pipeline.report.folder import ReportFolder
from pipeline.report.page_data.rows import ColumnLabel, RowColumns
from pipeline.report.private_texts import PrivateTexts
from pipeline.report.row_files import MOST_BYTES, RowFiles, as_bytes
from pipeline.report.run_traces import TracedShard, run_traces
from pipeline.report.script_files import plain_json

SPANS = 20_000


def shards(run: int, count: int) -> Iterator[TracedShard]:
    for number in range(count):
        making = ShardMaking(f"run-{run}", f"host:{number % 8}", float(number), number + 0.5, Stages())
        yield TracedShard(f"{run}-{number}", run, 10, 0, making)


def test_of_many_shards_the_work_of_the_last_runs_is_shown() -> None:
    """20 runs of 20,000 shards each would take 20 MB."""
    traces = run_traces([*shards(1, 9000), *shards(2, 12_000), *shards(3, 13_000)], {}, {}, PrivateTexts(()))
    spans = [sum(len(worker.spans) for worker in trace.workers or ()) for trace in traces]
    assert [trace.run_id for trace in traces] == ["run-3", "run-2", "run-1"]
    assert spans == [13_000, SPANS - 13_000, 0]
    assert [trace.shards for trace in traces] == [13_000, 12_000, 9000]


class Table:
    """Rows of 200 bytes, in so many shards."""

    labels: ClassVar = {"key": ColumnLabel("Utterance", "text")}

    def __init__(self, shards: int) -> None:
        self.shards = tuple(f"data/{number:06d}-1a2b3c4d.tar" for number in range(shards))

    def columns(self, rows: Sequence[tuple[int, PlainRow]]) -> RowColumns:
        return {"row": [number for number, _ in rows], "key": ["x" * 200 for _ in rows]}


def test_the_names_of_many_shards_leave_less_room_for_rows(tmp_path: Path) -> None:
    included = []
    for count in (1000, 60_000, 200_000):
        table = Table(count)

        def read(wanted: NDArray[np.int64] | None) -> Iterator[tuple[int, PlainRow]]:
            return ((number, {}) for number in range(20_000))

        rows = RowFiles(table, np.arange(20_000), {}, 10**6, "")
        with ReportFolder(tmp_path / "report", []) as folder:
            shown = rows.write(read, folder, all_rows=False)
        included.append(shown.included)
        size = len(as_bytes(shown.columns)) + len(plain_json(shown.shards))
        assert size <= MOST_BYTES or count == 200_000
    assert included[0] > 10_000 > included[1] > included[2] > 2000
