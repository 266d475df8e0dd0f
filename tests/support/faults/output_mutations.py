"""Ways to change a finished output. Each says what `verify` must give: the exit code, and what it must name.

A change alters what a file means: any byte of an object or of a line, any value of a JSON document. White space between
the values of job.json, published.json and the commit records means nothing and is left alone.
"""

import json
import random
from collections.abc import Callable
from typing import Any

from support.faults.places import Place, copy

Expected = tuple[int, str]
Change = Callable[[Place, random.Random], Expected]

MISSING, CORRUPT, UNEXPECTED = 10, 11, 12
LISTS = ("manifest.jsonl", "failures.jsonl")
DOCUMENTS = ("job.json", "index.json", "_melmill/published.json")


def some_object(out: Place, rng: random.Random) -> Place:
    return rng.choice(sorted(path for path in (out / "data").rglob("*") if path.is_file()))


def some_commit(out: Place, rng: random.Random) -> Place:
    return rng.choice(sorted((out / "_melmill/commits").iterdir()))


def some_list(out: Place, rng: random.Random) -> Place:
    return out / rng.choice(LISTS)


def some_document(out: Place, rng: random.Random) -> Place:
    return rng.choice([out / rng.choice(DOCUMENTS), some_commit(out, rng)])


def anything(out: Place, rng: random.Random) -> Place:
    return rng.choice([some_object, some_list, some_document])(out, rng)


def named(out: Place, path: Place) -> str:
    return str(path.relative_to(out))


def meaning(content: bytes) -> str | None:
    """A JSON document without its white space; None if it is none."""
    try:
        return json.dumps(json.loads(content), sort_keys=True)
    except ValueError:
        return None


def write(out: Place, path: Place, content: bytes) -> Expected:
    path.chmod(0o644)
    path.write_bytes(content)
    return CORRUPT, named(out, path)


def flip(out: Place, rng: random.Random) -> Expected:
    path = anything(out, rng)
    before = path.read_bytes()
    while True:
        content = bytearray(before)
        content[rng.randrange(len(content))] ^= rng.randrange(1, 256)
        if path.suffix != ".json" or path.is_relative_to(out / "data") or meaning(content) != meaning(before):
            return write(out, path, bytes(content))


def truncate(out: Place, rng: random.Random) -> Expected:
    path = anything(out, rng)
    content = path.read_bytes().rstrip(b"\n")
    return write(out, path, content[: rng.choice([0, rng.randrange(len(content))])])


def lengthen(out: Place, rng: random.Random) -> Expected:
    path = anything(out, rng)
    return write(out, path, path.read_bytes() + rng.choice([b"\0", b"{", b"x" * 600]))


def delete(out: Place, rng: random.Random) -> Expected:
    path = anything(out, rng)
    path.unlink()
    return MISSING, named(out, path)


def exchange(out: Place, rng: random.Random) -> Expected:
    """One object, or commit record, has the content of another."""
    some = rng.choice([some_object, some_commit])
    path = some(out, rng)
    other = next(each for _ in range(99) if (each := some(out, rng)).read_bytes() != path.read_bytes())
    return write(out, path, other.read_bytes())


def add_stray(out: Place, rng: random.Random) -> Expected:
    there = some_object(out, rng)
    shard = sorted((out / "data").iterdir())[0].name.removesuffix(".tar")
    names = [
        "data/notes.txt",
        "data/x.tar",
        "data/000009-0123abcd.tar",
        f"data/{shard}-deadbeef.tar",
        "data/sub/x.flac",
    ]
    names += [f"data/{shard}/zzz.flac", "_melmill/commits/notes.txt", "_melmill/commits/000001.json"]
    name = rng.choice(names)
    (out / name).parent.mkdir(exist_ok=True)
    copy(there, out / name)
    return UNEXPECTED, name


def copy_commit(out: Place, rng: random.Random) -> Expected:
    path = some_commit(out, rng)
    twin = path.with_name(f"{rng.randrange(100):06d}-{rng.randrange(2**32):08x}.json")
    copy(path, twin)
    return CORRUPT, named(out, twin)


def change_lines(out: Place, rng: random.Random) -> Expected:
    """A line lost, twice, moved, from the other list, or of another key."""
    path = some_list(out, rng)
    lines = path.read_bytes().splitlines(keepends=True)
    other = (out / LISTS[path.name == LISTS[0]]).read_bytes().splitlines(keepends=True)
    at = rng.randrange(len(lines))
    renamed = json.dumps({**json.loads(lines[at]), "key": "another"}).encode() + b"\n"
    moved = lines[:at] + lines[at + 1 :]
    moved.insert((at + rng.randrange(1, len(lines))) % len(lines), lines[at])
    changed = rng.choice([
        lines[:at] + lines[at + 1 :],
        lines[: at + 1] + lines[at:],
        moved,
        [*lines[:at], rng.choice(other), *lines[at:]],
        [*lines[:at], renamed, *lines[at:]],
    ])  # fmt: skip
    return write(out, path, b"".join(changed))


def edit_line(out: Place, rng: random.Random) -> Expected:
    path = some_list(out, rng)
    lines = path.read_bytes().splitlines(keepends=True)
    at = rng.randrange(len(lines))
    lines[at] = edited(lines[at], rng) + b"\n"
    return write(out, path, b"".join(lines))


def edit_document(out: Place, rng: random.Random) -> Expected:
    path = some_document(out, rng)
    return write(out, path, edited(path.read_bytes(), rng))


def edited(content: bytes, rng: random.Random) -> bytes:
    """A JSON document with one value changed, lost, added, or of another type."""
    document = json.loads(content)
    while True:
        holder, name = rng.choice(places(document))
        if rng.random() < 0.2:
            del holder[name]
        elif rng.random() < 0.1 and isinstance(holder, dict):
            holder["another"] = holder[name]
        else:
            holder[name] = another(holder[name], rng)
        if meaning(changed := json.dumps(document).encode()) != meaning(content):
            return changed


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON document, as what holds it and its name there."""
    names = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    found = [(value, name) for name in names]
    return found + [place for name in names for place in places(value[name])]


def another(value: Any, rng: random.Random) -> Any:
    if rng.random() < 0.3:
        return rng.choice([None, True, -1, 10**400, 1e308, "", "../../x", [], {}, [[]], "\0", "0" * 64])
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return value + rng.choice([1, -1, 0.5])
    return value + "x" if isinstance(value, str) else type(value)()


CHANGES: tuple[Change, ...] = (
    flip, truncate, delete, edit_document, edit_line, change_lines,
    flip, truncate, delete, edit_document, edit_line, change_lines,
    lengthen, exchange, add_stray, copy_commit,
)  # fmt: skip
