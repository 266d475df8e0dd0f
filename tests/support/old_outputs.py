"""Outputs that earlier melmills wrote, unpacked to a folder of their own; see `tests/tools/make_old_outputs.py`.

Nothing here imports a module of melmill that may move: only what `pipeline` itself offers, and the command line.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile
from support.paths import ROOT
from typer.testing import CliRunner

import pipeline
from pipeline.cli import app

DATA = ROOT / "tests/data/outputs"
URL = "/proc/self/cwd/audio"
"""The place that every output was made in."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Output:
    """An output that was unpacked, with its store and its vocoders, to the folder that this process works in."""

    name: str
    place: Path
    expected: dict[str, Any]

    @property
    def out(self) -> Path:
        return self.place / "audio"

    def config(self, **changes: Any) -> pipeline.JobConfig:
        """Its job; keywords like `vocoder__name` change it. Onnxruntime runs its vocoder, as `auto` did then."""
        return pipeline.JobConfig.build(changed(self.expected["job"], {"vocoder__runtime": "onnxruntime"} | changes))

    def stamps(self) -> dict[str, tuple[str, int, int]]:
        """Digest, time of change and inode of every file."""
        found = {}
        for path in sorted(self.out.rglob("*")):
            if path.is_file():
                stat = path.stat()
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found[str(path.relative_to(self.out))] = (digest, stat.st_mtime_ns, stat.st_ino)
        return found

    def rows(self, name: str = "manifest.jsonl") -> list[Row]:
        return lines(self.out / name)

    def expected_commits(self) -> list[str]:
        """The shards that were there as they should be."""
        return names(self.expected["plan"]["done"])

    def committed(self) -> dict[str, list[Row]]:
        """Name of a commit -> its rows."""
        folder = self.out / "_melmill" / "commits"
        return {path.stem: json.loads(path.read_bytes())["rows"] for path in sorted(folder.iterdir())}


def changed(values: dict[str, dict[str, Any]], changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    result = {section: dict(keys) for section, keys in values.items()}
    for name, value in changes.items():
        section, key = name.split("__")
        result[section][key] = value
    return result


def lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def furnish(place: Path, inputs: Path, store: str) -> None:
    """Put a store and the vocoders into a folder."""
    shutil.copytree(inputs / store, place / "mels.zarr")
    for path in inputs.glob("*.onnx"):
        shutil.copy(path, place)


def placed(name: str, unpacked: Path, place: Path, expected: dict[str, Any]) -> Output:
    """An output out of an archive that was unpacked, with its store and the vocoders, in a folder."""
    shutil.copytree(unpacked / name, place, dirs_exist_ok=True)
    furnish(place, unpacked / "inputs", expected["store"])
    return Output(name, place, expected)


def melmill(*arguments: str, code: int = 0) -> str:
    """What a command prints that must end with this exit code."""
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.output
    return done.output


def run(config: pipeline.JobConfig, **how: bool) -> list[str]:
    """The names of the shards that a run commits."""
    events: list[Any] = []
    pipeline.run(config, events.append, **how)
    return sorted(event.name for event in events if type(event).__name__ == "ShardCommitted")


def shards(planned: Iterable[Any]) -> list[str]:
    """The names of the shards of a plan."""
    return sorted(shard.name for shard in planned)


def names(listed: Iterable[dict[str, Any]]) -> list[str]:
    """Those of a plan in the table."""
    return sorted(shard["shard"] for shard in listed)


def digest_read(out: Path, row: Row) -> str:
    """Digest of the samples that a reader who knows the manifest alone finds."""
    path = out / row["shard"]
    content = (path / row["member"] if path.is_dir() else path).read_bytes()[row["offset"] :][: row["bytes"]]
    samples, rate = soundfile.read(io.BytesIO(content), dtype="int32")
    assert (rate, len(samples)) == (row["sample_rate"], row["num_samples"])
    if row["subtype"] == "PCM_16":
        return hashlib.sha256((samples >> 16).astype("<i2").tobytes()).hexdigest()
    assert row["subtype"] == "PCM_24"
    return hashlib.sha256((samples >> 8).astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes()).hexdigest()


def assert_kept(before: dict[str, Any], after: dict[str, Any], names: Iterable[str]) -> None:
    """These files have their bytes, their time of change and their place on the disk."""
    names = set(names)
    assert names
    assert {name: after.get(name) for name in names} == {name: before[name] for name in names}


def files_of(stamps: dict[str, Any], commits: Iterable[str]) -> set[str]:
    """The commit records and the objects of shards."""
    return {
        name
        for name in stamps
        for commit in commits
        if name in (f"_melmill/commits/{commit}.json", f"data/{commit}.tar") or name.startswith(f"data/{commit}/")
    }
