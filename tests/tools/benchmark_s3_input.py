"""How fast mels are read from an object store, against s3fs's own `cat` of the same keys, or of the same ranges.

Prints a Markdown table. The server is on this machine; a proxy in between delays each request, as one that is far away.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zarr

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.s3_proxy import proxying
from support.s3_server import BUCKET, KEY, SECRET, client, serving

from pipeline.stores import open_store

CHUNKS, FRAMES, BANDS = 64, 256, 80
DELAYS = (0.0, 0.02, 0.1)


def make(folder: Path, sharded: bool) -> Path:
    """One utterance, in so many chunks; in objects of their own, or in one shard."""
    group = zarr.open_group(str(folder), mode="w", attributes={"mel": "hifigan-22k"})
    values = np.random.default_rng(0).uniform(-8, 0, (BANDS, CHUNKS * FRAMES)).astype(np.float32)
    shards = {"shards": (BANDS, CHUNKS * FRAMES)} if sharded else {}
    group.create_array("long", data=values, chunks=(BANDS, FRAMES), **shards)
    return folder


def seconds(act: Callable[[], object], times: int) -> float:
    """The best of so many times."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        act()
        taken.append(time.perf_counter() - begun)
    return min(taken)


def reading(url: str, endpoint: str) -> float:
    """Seconds that melmill takes to read the utterance; the best of five."""
    opened = open_store(url, options={"endpoint_url": endpoint})
    utterance = opened.catalogue()[0]
    taken = []
    for _ in range(5):
        opened = open_store(url, options={"endpoint_url": endpoint})  # which keeps no chunk
        taken.append(seconds(lambda: opened.read(utterance), 1))  # noqa: B023
    return min(taken)


def catting(endpoint: str, keys: list[str]) -> float:
    """Seconds that s3fs takes for the same keys, or, if it is one, for the same ranges of it."""
    own = client(endpoint)
    if len(keys) > 1:
        return seconds(lambda: own.cat(keys), 5)
    step = own.info(keys[0])["size"] // CHUNKS
    starts = [index * step for index in range(CHUNKS)]
    return seconds(lambda: own.cat_ranges(keys * CHUNKS, starts, [start + step for start in starts]), 5)


def main() -> None:
    """Prints the table."""
    print("| one utterance of 64 chunks | delay [ms] | melmill [s] | s3fs [s] | melmill [MB/s] |")
    print("|---|---|---|---|---|")
    with (
        tempfile.TemporaryDirectory() as name,
        serving(Path(name) / "server") as server,
        proxying(server.port) as proxy,
    ):
        os.environ |= {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        direct = client(server.endpoint)
        for sharded in (False, True):
            store = make(Path(name) / f"{sharded}.zarr", sharded)
            direct.put(f"{store}/", f"{BUCKET}/{store.name}/", recursive=True)
            keys = [each for each in direct.find(f"{BUCKET}/{store.name}/long") if "/c/" in each]
            size = sum(direct.info(key)["size"] for key in keys) / 1e6
            for proxy.delay in DELAYS:
                ours = reading(f"s3://{BUCKET}/{store.name}", proxy.endpoint)
                theirs = catting(proxy.endpoint, keys)
                what = "in one shard" if sharded else "in objects of their own"
                print(
                    f"| {what} | {proxy.delay * 1000:.0f} | {ours:.3f} | {theirs:.3f} | {size / ours:.0f} |", flush=True
                )


if __name__ == "__main__":
    main()
