"""Seconds that opening and listing a grouped store takes: `python tests/tools/benchmark_grouped.py ARRAYS [FOLDER]`.

Makes stores of so many arrays below the folder (a temporary one if none is given) and in fsspec's memory, opens each in
a process of its own, and prints wall and processor seconds of `open_store(...)` and `catalogue()`. The files were just
written, so they come from the page cache.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import zarr

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.making import SPEC, random_mel

from pipeline.stores import open_store

Write = Callable[[str, bytes], None]


def make(write: Write, arrays: int, zarr_format: int, consolidated: bool) -> None:
    """Arrays of 5 to 204 frames, all at the root, with the documents and chunks that Zarr itself writes."""
    memory: dict[str, zarr.core.buffer.Buffer] = {}
    group = zarr.create_group(zarr.storage.MemoryStore(memory), zarr_format=zarr_format)  # type: ignore[arg-type]
    group.create_array("a", data=random_mel(16), chunks=(20, 256))
    files = {name: content.to_bytes() for name, content in memory.items()}
    (document_name,) = (name for name in files if name in ("a/zarr.json", "a/.zarray"))
    (chunk_name,) = (name for name in files if name in ("a/c/0/0", "a/0.0"))
    document, listed = json.loads(files[document_name]), {}
    for index in range(arrays):
        path = f"{index:06d}"
        here = {**document, "shape": [20, 5 + index % 200]}
        write(path + document_name[1:], json.dumps(here).encode())
        write(path + chunk_name[1:], files[chunk_name])
        listed[path + "/.zarray" if zarr_format == 2 else path] = here
    if zarr_format == 2:
        write(".zgroup", files[".zgroup"])
        if consolidated:
            root = {"zarr_consolidated_format": 1, "metadata": {".zgroup": {"zarr_format": 2}, **listed}}
            write(".zmetadata", json.dumps(root).encode())
        return
    root = json.loads(files["zarr.json"])
    if consolidated:
        root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": listed}
    write("zarr.json", json.dumps(root).encode())


def write_below(folder: Path) -> Write:
    def write(name: str, content: bytes) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return write


def measure(url: str) -> None:
    """Prints the seconds of opening and of listing the store at a URL."""
    clocks = [(time.perf_counter(), time.process_time())]
    store = open_store(url, mel=SPEC)
    clocks.append((time.perf_counter(), time.process_time()))
    listed = store.catalogue()
    clocks.append((time.perf_counter(), time.process_time()))
    spans = [f"{b[0] - a[0]:.2f} | {b[1] - a[1]:.2f}" for a, b in itertools.pairwise(clocks)]
    assert not listed.faults
    digest = int(np.bitwise_xor.reduce(listed.digests, axis=0).view(np.uint64).sum())
    print(f"{len(listed)} | {' | '.join(spans)} | {digest:x} |", flush=True)


def main(arrays: int, folder: Path) -> None:
    print(
        "| store | utterances | open, wall s | cpu s | list, wall s | cpu s | digests |\n|---|---|---|---|---|---|---|"
    )
    for zarr_format in (2, 3):
        for consolidated in (False, True):
            name = f"v{zarr_format}{'-consolidated' if consolidated else ''}"
            place = folder / name
            if not place.exists():
                make(write_below(place), arrays, zarr_format, consolidated)
            print(f"| disk {name} | ", end="", flush=True)
            subprocess.run([sys.executable, __file__, str(place)], check=True)
            print(f"| memory {name} | ", end="", flush=True)
            subprocess.run(
                [sys.executable, __file__, str(arrays), str(zarr_format), str(int(consolidated))], check=True
            )


def in_memory(arrays: int, zarr_format: int, consolidated: bool) -> None:
    memory = fsspec.filesystem("memory")
    make(lambda name, content: memory.pipe_file(f"/s/{name}", content), arrays, zarr_format, consolidated)
    measure("memory://s")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        in_memory(*map(int, sys.argv[1:]))  # type: ignore[arg-type]
    elif os.path.exists(sys.argv[1]):
        measure(sys.argv[1])
    elif len(sys.argv) == 3:
        main(int(sys.argv[1]), Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(int(sys.argv[1]), Path(temporary))
