"""Ways to damage a mel store."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import zarr
from support.faults.damaged_store import METADATA, Damage, Store
from support.faults.layouts import CHUNK, SHARD
from support.faults.output_mutations import edited

ABSENT = 2**64 - 1  # Zarr's sharding index: offset and length of an inner chunk that is not there
TOO_LONG = "ы" * 800
ODD_KEYS = (
    "", "\0", "a\0b", "..", "../../x", "/etc/passwd", "x" * 1000, TOO_LONG, "ы" * 500, "\ufffe", "a\nb", "con",
)  # fmt: skip
ODD_NAMES = (b"\xff\xfe", b"a\nb", b"con", b"a b", b"x" * 250, b"..x", b"__x__", b"\xd1\x8b" * 100, b"%2F")
NO_METADATA = (
    b"", b"{", b"[]", b"3", b"null", b'"x"', b"{}", b"[" * 10**5, b"\xff\xfe", b"NaN", b'{"zarr_format": 3}',
    b'{"node_type": "array", "zarr_format": 3}',
)  # fmt: skip
CODECS = (
    "pickle", "json2", "msgpack2", "mine.evil", "blosc", "gzip", "lzma", "bytes", "vlen-utf8", "transpose", "delta",
)  # fmt: skip
TYPES = (
    "float16", "float64", "int32", "uint8", "bool", "string", "complex64", "r16", "O", "|O", "<f2", ">f4", "<f8",
    "<i4", "|S1000000000", "<U9", "V8", "float1000", "<M8[ns]",
)  # fmt: skip

Mutation = Callable[[Store, random.Random], Damage]


def flip_in_mel(store: Store, rng: random.Random) -> Damage:
    path = rng.choice(store.mel_objects())
    content = bytearray(path.read_bytes())
    at = rng.randrange(len(content))
    content[at] ^= rng.randrange(1, 256)
    path.write_bytes(content)
    return Damage(f"byte {at} of {path}", store.within(path))


def cut_mel(store: Store, rng: random.Random) -> Damage:
    path = rng.choice(store.mel_objects())
    content = path.read_bytes()
    path.write_bytes(rng.choice([b"", content[: rng.randrange(len(content))], content + b"\0" * 9, rng.randbytes(999)]))
    return Damage(f"cut {path}", store.within(path), lost=store.within(path))


def delete_mel(store: Store, rng: random.Random) -> Damage:
    path = rng.choice(store.mel_objects())
    path.unlink()
    if rng.random() < 0.2:
        path.mkdir()
    return Damage(f"deleted {path}", store.within(path), lost=store.within(path))


def delete_inner_chunk(store: Store, rng: random.Random) -> Damage:
    if not store.sharded:
        return delete_mel(store, rng)
    path, index = _shard_index(store, rng)
    inner = int(rng.choice(np.flatnonzero(index[:, 0] != ABSENT).tolist()))
    index[inner] = ABSENT
    _put_shard_index(path, index)
    return Damage(f"inner chunk {inner} of {path}", store.within(path, inner), lost=store.within(path, inner))


def misplace_inner_chunk(store: Store, rng: random.Random) -> Damage:
    """The index of a shard points elsewhere: out of it, or at another of its chunks."""
    if not store.sharded:
        return cut_mel(store, rng)
    path, index = _shard_index(store, rng)
    there = np.flatnonzero(index[:, 0] != ABSENT).tolist()
    inner, other = rng.choice(there), rng.choice(there)
    far = [[2**63, 100], [2**62, 2**62], [0, 2**40], [10**6, 10**6], [5, 0], [ABSENT, 7], [7, ABSENT]]
    index[inner] = index[other] if rng.random() < 0.5 else rng.choice(far)
    _put_shard_index(path, index)
    return Damage(f"{index[inner]} for {inner} of {path}", store.within(path, inner), hidden=store.layout != "ragged")


def _shard_index(store: Store, rng: random.Random) -> tuple[Path, Any]:
    path = rng.choice(store.mel_objects())
    chunks = {"ragged": 2 * SHARD // CHUNK, "grouped": SHARD // CHUNK, "padded": 2 * SHARD // CHUNK}[store.layout]
    raw = path.read_bytes()[-16 * chunks - 4 : -4]
    return path, np.frombuffer(raw, "<u8").reshape(chunks, 2).copy()


def _put_shard_index(path: Path, index: Any) -> None:
    raw = index.astype("<u8").tobytes()
    path.write_bytes(path.read_bytes()[: -len(raw) - 4] + raw + google_crc32c.value(raw).to_bytes(4, "little"))


def exchange_mels(store: Store, rng: random.Random) -> Damage:
    one, other = rng.sample(store.mel_objects(), 2)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    return Damage(f"{one} for {other}", store.within(one) | store.within(other), hidden=store.layout != "ragged")


def put_value(store: Store, rng: random.Random) -> Damage:
    """A value that no mel holds; in a ragged store also one that it may hold but did not."""
    key = rng.choice(store.keys)
    frame, band = rng.randrange(store.frames[key]), rng.randrange(80)
    value = rng.choice([np.nan, np.inf, -np.inf, 1e30, -1e30, *([-5.25] if store.layout == "ragged" else [])])
    group: Any = zarr.open_group(str(store.path), mode="r+")
    if store.layout == "grouped":
        group[key][band, frame] = value
    elif store.layout == "padded":
        group["mel"][store.keys.index(key), band, frame] = value
    else:
        group["mel"][sum(list(store.frames.values())[: store.keys.index(key)]) + frame, band] = value
    return Damage(f"{value} in {key}", frozenset({key}), lost=frozenset({key}))


def edit_places(store: Store, rng: random.Random) -> Damage:
    """One of the offsets, lengths or digests is another number."""
    if store.layout == "grouped":
        return edit_metadata(store, rng)
    group: Any = zarr.open_group(str(store.path), mode="r+")
    name = rng.choice(["offsets", "digests"] if store.layout == "ragged" else ["lengths"])
    values = group[name][...]
    index = rng.randrange(len(values))
    most = np.iinfo(values.dtype).max
    if name == "digests":
        values[index, rng.randrange(16)] ^= 1
    else:
        near = int(values[index])
        values[index] = rng.choice([0, -1, near - 1, near + 1, 0, near + 1000, most, -most, rng.randrange(500)])
    group[name][...] = values
    keys = store.keys[max(0, index - 1) : index + 1] if name == "offsets" else [store.keys[index]]
    what = f"{name}[{index}] = {values[index]}"
    return Damage(what, frozenset(keys), hidden=name == "lengths")


def edit_keys(store: Store, rng: random.Random) -> Damage:
    """A key is another: one that stands twice, an empty or a hostile one."""
    index, other = rng.sample(range(len(store.keys)), 2)
    if "consolidated" in store.name:  # it would be reported under both names
        return edit_metadata(store, rng)
    new = rng.choice([store.keys[other], *ODD_KEYS])
    return _rename(store, index, new) if store.layout != "grouped" else _rename_array(store, index, rng)


def _rename(store: Store, index: int, new: str) -> Damage:
    group: Any = zarr.open_group(str(store.path), mode="r+")
    keys = group["keys"][...].astype(np.dtypes.StringDType())
    keys[index] = new
    group["keys"][...] = keys
    old = store.keys[index]
    touched = frozenset({old, new} & set(store.keys))
    lost = touched if new in ("", TOO_LONG, *store.keys) else frozenset()
    return Damage(f"key {index} is {new[:30]!r}", touched, lost, renamed={new: old})


def _rename_array(store: Store, index: int, rng: random.Random) -> Damage:
    old = store.keys[index]
    new = rng.choice(ODD_NAMES)
    os.rename(store.path / old, os.fsencode(store.path) + b"/" + new)
    name = new.decode("utf-8", "surrogateescape").encode("utf-8", "backslashreplace").decode()
    return Damage(f"{old} is {new!r}", frozenset({old}), renamed={name: old})


def damage_column(store: Store, rng: random.Random) -> Damage:
    """A chunk of offsets, lengths, keys or digests is flipped, cut or gone: nothing tells what the store holds."""
    columns = [path for path in store.files() if store.is_column(path) and path.name not in METADATA]
    if not columns:
        return flip_in_mel(store, rng)
    path = rng.choice(columns)
    content = bytearray(path.read_bytes())
    kind = rng.randrange(3)
    if kind == 0:
        path.unlink()
    else:
        content[rng.randrange(len(content))] ^= rng.randrange(1, 256)
        path.write_bytes(content if kind == 1 else content[: rng.randrange(len(content))])
    return Damage(f"{kind} of {path}", frozenset(store.keys), refused=True)


def _metadata(store: Store, rng: random.Random) -> tuple[Path, Damage]:
    """Some metadata document, and what depends on it."""
    path = rng.choice([path for path in store.files() if path.name in METADATA])
    if store.layout == "grouped" and path.parent != store.path:
        return path, Damage(f"{path}", frozenset({path.parent.name}), hidden=True)
    hidden = store.layout != "ragged" and (path.parent.name in ("mel", "lengths") or path.name == ".zmetadata")
    return path, Damage(f"{path}", frozenset(store.keys), refused=True, hidden=hidden)


def flip_in_metadata(store: Store, rng: random.Random) -> Damage:
    path, damage = _metadata(store, rng)
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= rng.randrange(1, 256)
    path.write_bytes(content)
    return damage


def replace_metadata(store: Store, rng: random.Random) -> Damage:
    path, damage = _metadata(store, rng)
    content = path.read_bytes()
    path.write_bytes(rng.choice([*NO_METADATA, content[: rng.randrange(len(content))]]))
    return damage


def delete_metadata(store: Store, rng: random.Random) -> Damage:
    path, damage = _metadata(store, rng)
    path.unlink()
    return damage


def edit_metadata(store: Store, rng: random.Random) -> Damage:
    """Any one value is another, or gone."""
    path, damage = _metadata(store, rng)
    path.write_bytes(edited(path.read_bytes(), rng))
    return damage


def edit_contract(store: Store, rng: random.Random) -> Damage:
    """A field of the mel contract is another, or none at all."""
    path = next(path for name in (".zmetadata", "zarr.json", ".zattrs") if (path := store.path / name).exists())
    document = json.loads(path.read_text())
    attributes = document["metadata"][".zattrs"] if path.name == ".zmetadata" else document.get("attributes", document)
    mel = attributes["melmill"]["mel"]
    name = rng.choice(list(mel))
    mel[name] = rng.choice([10**6, 10**8, 2**62, 10**400, 1e308, 1e-320, float("nan"), -1, 0, True, None, [], {}, "x"])
    path.write_text(json.dumps(document))
    return Damage(f"{name} = {mel[name]!r:.30}", frozenset(store.keys), refused=True)


def set_metadata(store: Store, rng: random.Random) -> Damage:
    """Shape, chunks, type or codecs are such as an attacker would choose."""
    path = rng.choice([path for path in store.files() if path.name == ".zarray" or _is_array(path)])
    document = json.loads(path.read_text())
    dimensions = len(document["shape"])
    version = document["zarr_format"]
    huge = [rng.choice([1, 0, -1, 10**6, 10**9, 2**31, 2**62, 10**30]) for _ in range(dimensions)]
    codec = rng.choice(CODECS)
    kind = rng.randrange(5)
    if kind == 0:
        document["shape"] = rng.choice([huge, [document["shape"][0], *huge[1:]], document["shape"] + [1], []])
    elif kind == 1 and version == 3:
        document["chunk_grid"]["configuration"]["chunk_shape"] = huge
    elif kind == 1:
        document["chunks"] = huge
    elif kind == 2:
        document["data_type" if version == 3 else "dtype"] = rng.choice(TYPES)
    elif version == 3:
        codecs = rng.choice([document["codecs"], _inner(document["codecs"])])
        name = rng.choice([codec, f"numcodecs.{codec}"])
        codecs.insert(rng.randrange(len(codecs) + 1), {"name": name, "configuration": {}})
    elif rng.random() < 0.5:
        document["compressor"] = {"id": codec}
    else:
        document["filters"] = [{"id": codec}, *(document["filters"] or [])]
    path.write_text(json.dumps(document))
    if store.layout == "grouped":
        return Damage(f"{path}: {kind} {codec}", frozenset({path.parent.name}), hidden=True)
    hidden = store.layout != "ragged" and path.parent.name in ("mel", "lengths")
    return Damage(f"{path}: {kind} {codec}", frozenset(store.keys), refused=True, hidden=hidden)


def _is_array(path: Path) -> bool:
    return path.name == "zarr.json" and json.loads(path.read_text())["node_type"] == "array"


def _inner(codecs: list[Any]) -> list[Any]:
    return next((c["configuration"]["codecs"] for c in codecs if c["name"] == "sharding_indexed"), codecs)


MUTATIONS: tuple[Mutation, ...] = (
    flip_in_mel, cut_mel, delete_mel, delete_inner_chunk, misplace_inner_chunk, exchange_mels, put_value, edit_places,
    edit_keys, damage_column, flip_in_metadata, replace_metadata, delete_metadata, edit_metadata, edit_contract,
    set_metadata,
)  # fmt: skip
