"""open_store: what layout a store has, and the reader for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pipeline.errors import StoreError
from pipeline.melspec import MelSpec
from pipeline.storage import NO_OPTIONS
from pipeline.stores.array_metadata import ArrayMetadata
from pipeline.stores.base import Fingerprint, Layout, MelStore
from pipeline.stores.grouped import GroupedStore
from pipeline.stores.padded import LENGTH_ARRAYS, PaddedStore
from pipeline.stores.ragged import RaggedStore
from pipeline.stores.tree import Tree

_MOST_PADDED_ARRAYS = 64  # a padded store has a handful; a group with more is one array per utterance


def open_store(
    url: str,
    layout: Layout | Literal["auto"] = "auto",
    mel: MelSpec | None = None,
    fingerprint: Fingerprint = "chunks",
    options: Mapping[str, Any] = NO_OPTIONS,
) -> MelStore:
    """A mel store, opened read-only. Reads metadata only.

    Args:
        url: a local path or any fsspec URL (`s3://...`, `memory://...`, `zip://::mels.zip`).
        layout: "auto" finds it out.
        mel: gives n_mels, and so the mel axis, where the store states no contract. A stated one goes before it.
        fingerprint: what the digests of grouped and padded stores are taken over: "chunks" (size, and time of change
            or ETag, of what an utterance lies in) or "content" (the values: listing then reads every mel). Ragged
            stores hold digests of the content.

    Raises:
        StoreError: if there is no store, or it cannot be read without guessing.
        ContractError: if no mel has the number of bands of the contract.
        StorageError: if storage cannot be reached.
    """
    if layout not in ("auto", *get_args(Layout)):
        raise StoreError(f"no layout is named {layout!r}; the layouts are auto, {', '.join(get_args(Layout))}")
    tree = Tree(str(url), options)
    found = detect_layout(tree) if layout == "auto" else layout
    if found == "ragged":
        return RaggedStore(tree)
    return PaddedStore(tree, mel, fingerprint) if found == "padded" else GroupedStore(tree, mel, fingerprint)


def detect_layout(tree: Tree) -> Layout:
    """The layout that a store states, or shows by its arrays."""
    ours = tree.attributes.get("melmill")
    stated = ours.get("layout") if isinstance(ours, Mapping) else None
    if stated is not None:
        for layout in get_args(Layout):
            if stated == layout:
                return layout  # type: ignore[no-any-return]
        raise StoreError(f"{tree.url} states the layout {stated!r}; this melmill reads {', '.join(get_args(Layout))}")
    children = tree.children()
    if {"mel", "offsets", "keys"} <= set(children):
        return "ragged"
    if len(children) > _MOST_PADDED_ARRAYS:
        return "grouped"
    arrays, unreadable = _arrays(tree, children)
    solid = [array for array in arrays if len(array.shape) == 3]
    lengths = [array for array in arrays if array.path.lower() in LENGTH_ARRAYS and len(array.shape) == 1]
    flat = [array for array in arrays if len(array.shape) == 2 and array.kind == "float"]
    if unreadable and not solid and not flat:
        raise unreadable[0]
    return "padded" if solid and (lengths or not flat) else "grouped"


def _arrays(tree: Tree, paths: list[str]) -> tuple[list[ArrayMetadata], list[StoreError]]:
    arrays, unreadable = [], []
    for path in paths:
        try:
            array = tree.array(path)
        except StoreError as error:
            unreadable.append(error)
        else:
            arrays += [] if array is None else [array]
    return arrays, unreadable
