"""What holds after every fault, and what a reader may see meanwhile."""

import json
from dataclasses import dataclass

from support.corpora import assert_whole, digests
from support.faults.places import Place


@dataclass(frozen=True)
class Reference:
    """A run without faults: PCM digest by key."""

    digests: dict[str, str]


def assert_invariant(out: Place, reference: Reference, failed: frozenset[str] = frozenset()) -> None:
    """The invariant after a run that came to its end.

    Committed keys are those planned without those failed, each once; every object, row and PCM digest verifies; and
    the digests are those of a run without faults.
    """
    assert_whole(out, len(reference.digests), failed=len(failed))
    assert digests(out) == {key: digest for key, digest in reference.digests.items() if key not in failed}


def assert_readable(out: Place) -> None:
    """What a reader may count on at any moment, also after a kill: the manifest names only what is there, whole.

    Cheap enough to be asked while a run goes on: every object that a row names is there and reaches past the row's
    last byte, and its audio begins as audio does. Likewise the index.
    """
    assert_index_readable(out)
    try:
        lines = (out / "manifest.jsonl").read_text().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        row = json.loads(line)
        path = out / row["shard"] if row["shard"].endswith(".tar") else out / row["shard"] / row["member"]
        with path.open("rb") as file:
            file.seek(row["offset"])
            audio = file.read(row["bytes"])
        assert len(audio) == row["bytes"], row["key"]
        assert audio[:4] in (b"fLaC", b"RIFF"), row["key"]


def assert_index_readable(out: Place) -> None:
    """Every object that index.json names is there and has its size."""
    try:
        index = json.loads((out / "index.json").read_text())
    except FileNotFoundError:
        return
    entries = [*index["shardlist"], *index.get("files", [])]
    assert {each.get("url") or each["file"]: each["filesize"] for each in entries} == {
        name: len((out / name).read_bytes()) for name in (each.get("url") or each["file"] for each in entries)
    }
