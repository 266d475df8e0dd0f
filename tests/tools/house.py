"""`make house`: the rooms of `pipeline/`, their sizes, and which room imports which.

python tests/tools/house.py [FOLDER]    # another package, or a room such as pipeline/vocoders
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

HERE = Path(__file__).parents[2] / "pipeline"


def room(path: Path, folder: Path) -> str:
    """The room that a file belongs to: the first part of its path below `folder`, without `.py`."""
    return path.relative_to(folder).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Dotted names of what a file imports, wherever in the file it does: `pipeline.errors.ConfigError`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def package_of(folder: Path) -> str:
    """The dotted name of a folder, found by going up as long as there is an `__init__.py`."""
    parents = [folder, *folder.parents]
    names = [
        each.name for each in parents[: next(i for i, p in enumerate(parents) if not (p / "__init__.py").is_file())]
    ]
    return ".".join(reversed(names))


def arrows(folder: Path) -> Iterator[tuple[Path, str, str]]:
    """Each import of one room by another: the file, its room, and the room that it imports."""
    package = package_of(folder)
    for path in sorted(folder.rglob("*.py")):
        for name in imports(path):
            if name.startswith(f"{package}."):
                other = name.removeprefix(f"{package}.").split(".")[0]
                if not (folder / other).is_dir() and not (folder / f"{other}.py").is_file():
                    other = "__init__"  # a name of the package itself
                if other != room(path, folder):
                    yield path, room(path, folder), other


def floors(folder: Path) -> list[list[str]]:
    """The rooms from the lowest floor to the highest; each imports only rooms of lower floors.

    Raises:
        graphlib.CycleError: if rooms import each other in a circle.
    """
    below: dict[str, set[str]] = {room(path, folder): set() for path in folder.rglob("*.py")}
    for _, one, other in arrows(folder):
        below[one].add(other)
    floor: dict[str, int] = {}
    for each in TopologicalSorter(below).static_order():
        floor[each] = max((floor[other] + 1 for other in below[each]), default=0)
    return [sorted(each for each in floor if floor[each] == level) for level in range(max(floor.values()) + 1)]


def main(folder: Path) -> None:
    """Print a line for each room, the lowest floor first."""
    used = {(one, other) for _, one, other in arrows(folder)}
    try:
        levels = floors(folder)
    except CycleError as circle:
        sys.exit(f"rooms import each other in a circle: {' -> '.join(circle.args[1])}")
    sizes: dict[str, list[int]] = {}
    for path in folder.rglob("*.py"):
        sizes.setdefault(room(path, folder), []).append(len(path.read_text().splitlines()))
    print(f"{'floor':5} {'room':14} {'files':>5} {'lines':>6}  imports")
    for level, rooms in enumerate(levels):
        for each in rooms:
            others = sorted(other for one, other in used if one == each)
            print(f"{level:5} {each:14} {len(sizes[each]):5} {sum(sizes[each]):6}  {' '.join(others)}")
    modules = sum((folder / f"{each}.py").is_file() for each in sizes)
    print(f"{len(sizes)} rooms, {modules} of them single modules, {len(used)} arrows, {len(levels)} floors, no circle")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if sys.argv[1:] else HERE)
