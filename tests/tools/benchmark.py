"""`make bench`: melmill's speed beside that of other runtimes, libraries and loops, in a table for each part.

    python tests/tools/benchmark.py [--rounds N] [--only PART] [--largest UTTERANCES] [--out FILE.json]
    python tests/tools/benchmark.py --table FILE.json

Prints the tables in Markdown, and writes the same as JSON after each group of rows, with what it was measured on.
Contenders are processes of their own with one thread. They take turns, and each comparison is made within a round.
`--only` measures one part again, and keeps the others of the file. `--table` prints the tables of an earlier bench.
Parts:

    decoding, packing, sharing  nets, mels and stores beside other runtimes and libraries
    jobs                        start of a job, and an hour of audio
    loops                       an utterance from the store to the shard, beside loops that people write
    overhead                    the same with a vocoder that costs nothing
    kernel                      a whole job beside its vocoder alone
    reading                     a ragged store beside a grouped one
    start                       `melmill --help`, and a plan
    scale                       plans, publications, gc and verify at 10^3 to `--largest` utterances; changed mels
    dispatch                    handing shards to Dask and to 1,000 workers, and the memory of the driver at `--largest`
                                utterances
    views                       exports, reports and comparisons of two outputs, at 10^3 to `--largest` utterances

docs/explanation/speed.md quotes tests/tools/speed.json: a test holds that.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.paths import ROOT
from tools.bench.measuring import to_dict
from tools.bench.table import table

from pipeline.kernels.target import processor

PACKAGES = (
    "melmill", "numpy", "llvmlite", "onnxruntime", "torch", "hifi-gan", "openvino", "librosa", "soxr", "soundfile",
    "zarr", "dask", "webdataset",
)  # fmt: skip
PARTS = (
    "decoding", "packing", "sharing", "jobs", "loops", "overhead", "kernel", "reading", "start", "scale", "dispatch",
    "views",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """What the bench ran on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return {
        "processor": next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine()),
        "kind": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that the bench compares."""
    return {"python": platform.python_version()} | {each: importlib.metadata.version(each) for each in PACKAGES}


def measured(part: str, rounds: int, largest: int) -> Iterator[dict[str, Any]]:
    """One part, again after each of its rows, with what it was measured on and the load before and after."""
    from tools.bench import decoding, dispatch, jobs, kernel, loops, packing, reading, scale, sharing, start, views

    with tempfile.TemporaryDirectory() as folder:
        os.environ["MELMILL_CACHE"] = f"{folder}/cache"  # of all processes
        before = os.getloadavg()
        parts = {
            "decoding": lambda: decoding.rows(Path(folder), rounds),
            "packing": lambda: packing.rows(Path(folder), rounds),
            "sharing": lambda: sharing.rows(rounds),
            "jobs": lambda: jobs.rows(Path(folder) / "jobs", rounds),
            "loops": lambda: loops.rows(Path(folder) / "loops", rounds, free=False),
            "overhead": lambda: loops.rows(Path(folder) / "overhead", rounds, free=True),
            "kernel": lambda: kernel.rows(Path(folder) / "kernel", rounds),
            "reading": lambda: reading.rows(Path(folder) / "reading", rounds),
            "start": lambda: start.rows(Path(folder) / "start", rounds),
            "scale": lambda: scale.rows(Path(folder) / "scale", rounds, largest),
            "dispatch": lambda: dispatch.rows(Path(folder) / "dispatch", rounds, largest),
            "views": lambda: views.rows(Path(folder) / "views", rounds, largest),
        }
        found: dict[str, Any] = {"rounds": rounds, "machine": machine(), "versions": versions(), "rows": []}
        for row in parts[part]():
            found["rows"].append(to_dict(row))
            yield {**found, "load_average": {"before": before, "after": os.getloadavg()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "speed.json")
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    if arguments.table is not None:
        print("\n".join(table(json.loads(arguments.table.read_text()))))
        return
    found = json.loads(arguments.out.read_text())["parts"] if arguments.only and arguments.out.exists() else {}
    arguments.out.parent.mkdir(exist_ok=True)
    for part in [arguments.only] if arguments.only else PARTS:
        for so_far in measured(part, arguments.rounds, arguments.largest):
            found[part] = so_far
            bench = {
                "command": f"python tests/tools/benchmark.py --rounds {arguments.rounds} --largest {arguments.largest}",
                "parts": {each: found[each] for each in PARTS if each in found},
            }
            arguments.out.write_text(json.dumps(bench, indent=1) + "\n")
    print("\n".join(table(bench)))


if __name__ == "__main__":
    main()
