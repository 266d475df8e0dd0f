"""`make bench`: melmill's speed beside that of other runtimes and libraries, as one table.

    python tests/tools/benchmark.py [--rounds N] [--only PART] [--out FILE.json]
    python tests/tools/benchmark.py --table FILE.json

Prints the table in Markdown and writes the same as JSON, with what it was measured on. Each contender is a process of
its own with one thread. They take turns, and each comparison is made within a round. `--only` measures one part
again, and keeps the others of the file. `--table` prints the table of an earlier bench.

docs/explanation/speed.md quotes tests/tools/speed.json: a test holds that.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.paths import ROOT
from tools.bench.measuring import to_dict
from tools.bench.table import table

from pipeline.kernels.target import processor

PACKAGES = ("melmill", "numpy", "llvmlite", "onnxruntime", "torch", "hifi-gan", "openvino", "librosa", "soxr")
PARTS = ("decoding", "packing", "sharing", "jobs")


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


def measured(part: str, rounds: int) -> dict[str, Any]:
    """The rows of one part, with the load of the machine before and after."""
    from tools.bench import decoding, jobs, packing, sharing

    with tempfile.TemporaryDirectory() as folder:
        os.environ["MELMILL_CACHE"] = f"{folder}/cache"  # of all processes
        before = os.getloadavg()
        parts = {
            "decoding": lambda: decoding.rows(Path(folder), rounds),
            "packing": lambda: packing.rows(Path(folder), rounds),
            "sharing": lambda: sharing.rows(rounds),
            "jobs": lambda: jobs.rows(Path(folder) / "jobs", rounds),
        }
        rows = [to_dict(row) for row in parts[part]()]
    return {"rounds": rounds, "load_average": {"before": before, "after": os.getloadavg()}, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "speed.json")
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    if arguments.table is not None:
        print("\n".join(table(json.loads(arguments.table.read_text()))))
        return
    found = json.loads(arguments.out.read_text())["parts"] if arguments.only and arguments.out.exists() else {}
    for part in [arguments.only] if arguments.only else PARTS:
        found[part] = measured(part, arguments.rounds)
    bench = {
        "command": f"python tests/tools/benchmark.py --rounds {arguments.rounds}",
        "machine": machine(),
        "versions": versions(),
        "parts": {part: found[part] for part in PARTS if part in found},
    }
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(bench, indent=1) + "\n")
    print("\n".join(table(bench)))


if __name__ == "__main__":
    main()
