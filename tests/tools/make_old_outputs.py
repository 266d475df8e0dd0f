"""Makes the outputs in tests/data/outputs, as melmill wrote them at commits d591a97 and 94f63dd.

See `tests/test_old_outputs.py` and `tests/test_outputs_of_format_2.py`.

They say what later code must be able to read, so they are never made by later code. To make them again:

    git worktree add /tmp/old d591a97
    PYTHONPATH=/tmp/old:/tmp/old/tests .venv/bin/python tests/tools/make_old_outputs.py outputs
    git worktree add /tmp/old-2 94f63dd
    PYTHONPATH=/tmp/old-2:/tmp/old-2/tests .venv/bin/python tests/tools/make_old_outputs.py format-2

What is written:

    outputs.tar.xz   inputs/                        the stores and vocoders that the outputs were made from
                     NAME/audio/                    an output of each kind below
                     NAME/first-manifest.jsonl      of the first of two publications, where there were two
    expected.json    NAME: its job, its store, and what melmill said of the output right after it was made
    format-2.tar.xz, format-2-expected.json         the same of 94f63dd; its inputs are those of outputs.tar.xz

94f63dd writes commit records of format 2 and the file of their heads, as 6910815 did first, and is the last commit that
does not say in them how a shard was made.

An output knows its store, its vocoder and its own place by absolute paths, in a job.json that is sealed, so they cannot
be edited. All of them were therefore made in `/proc/self/cwd`, the folder that a process works in: whoever changes to
the folder that an output was unpacked to is where it was made. The machine's name is `old-host`, whatever it was.

The vocoder is an ONNX net, which lies in the archive: the bytes of the audio are those that onnxruntime gave on the
machine that this ran on. Another processor may make other last bits, so nobody may expect to make the same bytes again.

Modules of melmill are imported where they are used: only the old commits have them at these places.
"""

import importlib
import importlib.util
import io
import json
import lzma
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

PLACE = "/proc/self/cwd"
OUT = Path("audio")
HOST = "old-host"
TARGET = Path(__file__).parent.parent / "data" / "outputs"
KILLED = -signal.SIGKILL

FRAMES = {
    "anna/001": 11, "Anna/001": 10, "anna/a.b": 13, "_carl": 10, "dörte": 12, "ru/голос": 14, "~tilde": 9,
    "long": 17, "0001": 12, "0002": 10, "0003": 11, "0004": 13,
}  # fmt: skip
"""Key -> frames. A frame is 12 ms."""
CHANGED = "0002"
NAN = "anna/a.b"
LOST_CHUNK = 9
CHUNK_FRAMES = 8
SHARD_SECONDS = 0.3
LONGEST_SECONDS = 0.19
"""In the output with failures: less than `long` lasts."""


# ---- what the outputs are made from


def make_inputs(folder: Path) -> None:
    """Stores and vocoders."""
    import numpy as np
    import soundfile
    import zarr
    from corpora import PROMPTS, SPEC, tiny_vocoder
    from faults.ragged_store import lose_chunk, write_store

    from pipeline.dsp.mel import log_mel

    folder.mkdir()
    tiny_vocoder(folder / "tiny.onnx")
    tiny_vocoder(folder / "other.onnx", seed=1)
    recordings = sorted(PROMPTS.glob("*/*.flac"))
    mels = {}
    for (key, frames), path in zip(FRAMES.items(), recordings, strict=False):
        mels[key] = np.asarray(log_mel(soundfile.read(path, dtype="float32")[0], SPEC)[:, 30 : 30 + frames])

    def write(name: str, mels: dict[str, Any]) -> Path:
        store = write_store(folder / name, mels, CHUNK_FRAMES)
        texts = [json.dumps({"text": f"text of {key}", "speaker": key[:4]}) for key in mels]
        meta = zarr.open_group(store).create_array("meta", shape=(len(mels),), dtype=str)
        meta[:] = np.array(texts, np.dtypes.StringDType())
        return store

    write("whole.zarr", mels)
    write("changed.zarr", {**mels, CHANGED: mels[CHANGED] - np.float32(0.5)})
    broken = write("broken.zarr", mels)
    rows = zarr.open_array(broken / "mel")
    rows[sum(list(FRAMES.values())[: list(FRAMES).index(NAN)]) + 3, 5] = np.nan
    lose_chunk(broken, LOST_CHUNK)


# ---- steps: each is a process of its own, in the folder of the output


def job(name: str) -> dict[str, dict[str, Any]]:
    """The job of an output, as plain values."""
    kind = KINDS[name]
    return {
        "input": {"store": f"{PLACE}/mels.zarr", **kind.input},
        "vocoder": {"name": f"{PLACE}/{kind.vocoder}"} | ({"runtime": "onnxruntime"} if name in OF_FORMAT_2 else {}),
        "output": {"url": f"{PLACE}/{OUT}", "shard_seconds": SHARD_SECONDS, **kind.output},
        "cluster": {"kind": "synchronous"},
        "quality": {"max_failure_rate": 0.5},
    }


def make(name: str, vocoder: str = "") -> None:
    """A whole run, of the job as it is or with another vocoder."""
    import pipeline

    values = job(name)
    if vocoder:
        values["vocoder"]["name"] = f"{PLACE}/{vocoder}"
    pipeline.run(pipeline.JobConfig.build(values))


def make_by_the_other_vocoder(name: str) -> None:
    """The first of two runs."""
    make(name, "other.onnx")
    shutil.copy(OUT / "manifest.jsonl", "first-manifest.jsonl")


def make_of_the_first_mels(name: str) -> None:
    """The first of two runs; before the second the store is another."""
    make(name)
    shutil.copy(OUT / "manifest.jsonl", "first-manifest.jsonl")
    shutil.rmtree("mels.zarr")
    shutil.copytree("changed.zarr", "mels.zarr")


def be_killed(name: str) -> None:
    """A run that dies with the objects of its third shard durable, and two commits."""
    _die_at_commit(3)
    make(name)


def be_killed_as_part_one(name: str) -> None:
    """Part 1 of 2, which dies likewise after one commit."""
    import pipeline

    _die_at_commit(2)
    pipeline.run_part(pipeline.JobConfig.build(job(name)), pipeline.Part(1, 2))


def make_the_rest_as_part_zero(name: str) -> None:
    """Part 0 of 2, which makes all that is left, and does not publish, since another seems to be at work."""
    import pipeline
    from pipeline.storage import open_storage

    with open_storage(f"{PLACE}/{OUT}").share(f"part 1/2 on {HOST}"):
        pipeline.run_part(pipeline.JobConfig.build(job(name)), pipeline.Part(0, 2))


def damage(name: str) -> None:
    """Change a bit of the audio of the second shard."""
    path = sorted((OUT / "data").iterdir())[1]
    content = bytearray(path.read_bytes())
    content[700] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def mark(name: str) -> None:
    """`melmill verify --repair`."""
    audit = _first_of("pipeline.audit", "pipeline.output.audit")
    assert audit.repair(f"{PLACE}/{OUT}", audit.verify(f"{PLACE}/{OUT}").findings)


def look(name: str) -> None:
    """Print what melmill says of the output now."""
    import pipeline

    url = f"{PLACE}/{OUT}"
    told = pipeline.read_status(url).to_dict()
    try:
        garbage = [[each.name, each.bytes] for each in pipeline.find_garbage(url).garbage]
    except pipeline.MelmillError:  # it must be published first
        garbage = None
    seen = {
        "plan": pipeline.plan(pipeline.JobConfig.build(job(name))).to_dict(),
        "findings": [[each.kind, each.name] for each in pipeline.verify(url).findings],
        "garbage": garbage,
        "status": {part: told[part] for part in ("state", "holder", "run", "manifest", "parts")},
        "pcm": dict(sorted(_digests().items())),
    }
    print(json.dumps(seen))


def _die_at_commit(number: int) -> None:
    ledgers = _first_of("pipeline.ledger", "pipeline.output.ledger").Ledger
    put, begun = ledgers.put_commit, 0

    def die(ledger: Any, *record: Any) -> Any:
        nonlocal begun
        begun += 1
        if begun == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return put(ledger, *record)

    mock.patch.object(ledgers, "put_commit", die).start()


def _first_of(*names: str) -> Any:
    """The module that is there under one of these names: it has moved between the two commits."""
    return importlib.import_module(next(name for name in names if importlib.util.find_spec(name) is not None))


def _digests() -> dict[str, str]:
    """Shard and key -> digest of the samples, of all commits."""
    records = [json.loads(path.read_bytes()) for path in (OUT / "_melmill" / "commits").iterdir()]
    return {f"{row['shard']} {row['key']}": row["pcm_sha256"] for record in records for row in record["rows"]}


# ---- the outputs


@dataclass(frozen=True)
class Kind:
    """How an output is made.

    Args:
        steps: each with the exit code that it ends with.
        store: what `mels.zarr` is in the end.
        first_store: what it is before.
        vocoder: of the job in the end.
        input: of the job, what is not as usual.
        output: likewise.
    """

    steps: tuple[tuple[Callable[[str], None], int], ...]
    store: str = "whole.zarr"
    first_store: str = ""
    vocoder: str = "tiny.onnx"
    input: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)


FILES = {"container": "files"}
OUTPUTS = {
    "finished-tar": Kind(((make, 0),)),
    "finished-files": Kind(((make, 0),), output=FILES),
    "finished-wav": Kind(((make, 0),), output={"codec": "wav", "subtype": "PCM_24", "sample_rate": 16000}),
    "half-tar": Kind(((be_killed, KILLED),)),
    "half-files": Kind(((be_killed, KILLED),), output=FILES),
    "half-over-another": Kind(((make_by_the_other_vocoder, 0), (be_killed, KILLED))),
    "failures": Kind(((make, 0),), store="broken.zarr", input={"max_utterance_seconds": LONGEST_SECONDS}),
    "superseded-vocoder": Kind(((make_by_the_other_vocoder, 0), (make, 0))),
    "superseded-files": Kind(((make_by_the_other_vocoder, 0), (make, 0)), output=FILES),
    "superseded-mel": Kind(((make_of_the_first_mels, 0), (make, 0)), store="changed.zarr", first_store="whole.zarr"),
    "damaged": Kind(((make, 0), (damage, 0))),
    "marked": Kind(((make, 0), (damage, 0), (mark, 0))),
    "parts-made": Kind(((be_killed_as_part_one, KILLED), (make_the_rest_as_part_zero, 0))),
    "parts-begun": Kind(((be_killed_as_part_one, KILLED),)),
}


OF_FORMAT_2 = {
    "finished-2": Kind(((make, 0),)),
    "finished-2-files": Kind(((make, 0),), output=FILES),
    "half-2": Kind(((be_killed, KILLED),)),
    "failures-2": Kind(((make, 0),), store="broken.zarr", input={"max_utterance_seconds": LONGEST_SECONDS}),
    "superseded-2": Kind(((make_by_the_other_vocoder, 0), (make, 0))),
}
KINDS = OUTPUTS | OF_FORMAT_2


def main(archive: str) -> None:
    """Make all outputs of an archive, and put it into TARGET."""
    import pipeline

    print(f"with melmill of {Path(pipeline.__file__).parent}")
    first, expected = archive == "outputs", {}
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        if first:
            make_inputs(top / "inputs")
        else:
            with tarfile.open(TARGET / "outputs.tar.xz") as tar:
                inputs = [each for each in tar if each.name.split("/")[0] == "inputs"]
                tar.extractall(top, inputs, filter="data")
        for name in OUTPUTS if first else OF_FORMAT_2:
            expected[name] = _make_output(name, top / "inputs", top / name)
        if not first:
            shutil.rmtree(top / "inputs")
        TARGET.mkdir(exist_ok=True)
        (TARGET / f"{archive}.tar.xz").write_bytes(lzma.compress(_tar(top), preset=9 | lzma.PRESET_EXTREME))
    words = json.dumps(expected, indent=1, ensure_ascii=False)
    (TARGET / ("expected.json" if first else f"{archive}-expected.json")).write_text(words + "\n", encoding="utf-8")


def _make_output(name: str, inputs: Path, place: Path) -> dict[str, Any]:
    """Make one in a new folder, and say what there is to know of it."""
    kind = KINDS[name]
    shutil.copytree(inputs, place)
    shutil.copytree(place / (kind.first_store or kind.store), place / "mels.zarr")
    for step, code in kind.steps:
        ended = subprocess.run([sys.executable, __file__, step.__name__, name], cwd=place, check=False)
        assert ended.returncode == code, (name, step.__name__, ended.returncode)
    said = subprocess.run(
        [sys.executable, __file__, look.__name__, name], cwd=place, check=True, stdout=subprocess.PIPE
    )
    for each in [*inputs.iterdir(), inputs / "mels.zarr"]:
        remove = os.unlink if each.is_file() else shutil.rmtree
        remove(place / each.name)
    return {"job": job(name), "store": kind.store, **json.loads(said.stdout)}


def _tar(top: Path) -> bytes:
    """All files of a folder; nothing of whom they belonged to and when."""

    def anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime = info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT, dereference=True) as tar:
        for path in sorted(top.rglob("*")):
            tar.add(path, str(path.relative_to(top)), recursive=False, filter=anonymous)
    return content.getvalue()


if __name__ == "__main__":
    if len(sys.argv) == 2:
        main(sys.argv[1])
    else:
        mock.patch.object(socket, "gethostname", return_value=HOST).start()
        globals()[sys.argv[1]](sys.argv[2])
