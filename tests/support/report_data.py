"""Changes the data in a report's page, where a test needs what a small output does not have."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.report.script_files import json_in_html, plain_json, script_file

_OF_CHUNK = 10_000
_BEGIN, _END = '<script type="application/json" id="report">', "</script>"


def change(folder: Path, changed: Callable[[dict[str, Any]], None]) -> Path:
    """Change the data in a report's page, and give the folder back."""
    before, text, after = _parts(folder)
    data = json.loads(text)
    changed(data)
    (folder / "index.html").write_text(before + json_in_html(data).decode() + after)
    return folder


def cut_to(rows: int, folder: Path) -> Path:
    """A report whose page begins with its first rows, as that of a large output does."""

    def cut(data: dict[str, Any]) -> None:
        table = data["rows"]
        table["columns"] = {name: values[:rows] for name, values in table["columns"].items()}
        table |= {"included": rows, "note": f"The page begins with {rows} of {table['total']} rows."}

    return change(folder, cut)


def enlarge(rows: int, folder: Path, files: bool = True) -> Path:
    """A report of many rows: those that it has, again and again, with keys of their own.

    Args:
        rows: number of rows.
        folder: the report.
        files: whether the files of rows beside the page are there, too.
    """

    def enlarged(data: dict[str, Any]) -> None:
        table = data["rows"]
        few, chunks = table["columns"], []
        size = len(few["key"])
        (folder / "rows").mkdir(exist_ok=True)
        for begin in range(0, rows, _OF_CHUNK):
            name = f"rows/{len(chunks):04d}.js"
            chunks.append({"file": name, "rows": min(_OF_CHUNK, rows - begin)})
            if begin and not files:
                continue
            numbers = range(begin, min(begin + _OF_CHUNK, rows))
            columns = {name: [values[number % size] for number in numbers] for name, values in few.items()}
            columns |= {
                "row": list(numbers),
                "key": [f"utterance-{number:07d}" for number in numbers],
                "clip": [-1] * len(numbers),
            }
            (folder / name).write_bytes(script_file(name, plain_json(columns).encode()))
            if not begin:
                table |= {"columns": columns, "included": len(numbers)}
        table |= {"total": rows, "chunks": chunks, "note": f"The page begins with {table['included']} of {rows} rows."}

    return change(folder, enlarged)


def _parts(folder: Path) -> tuple[str, str, str]:
    before, begin, rest = (folder / "index.html").read_text().partition(_BEGIN)
    text, end, after = rest.partition(_END)
    return before + begin, text, end + after
