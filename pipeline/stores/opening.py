"""Opening a mel store: which layout it has, and the reader for it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Literal, get_args

from pipeline.errors import ContractError, StoreError
from pipeline.melspec import PRESETS, MelSpec
from pipeline.storage import NO_OPTIONS
from pipeline.stores.base import Fingerprint, Layout, MelStore
from pipeline.stores.grouped import GroupedStore
from pipeline.stores.mel_axis import item_axis, two_axes
from pipeline.stores.padded import LENGTH_ARRAYS, PaddedStore
from pipeline.stores.ragged import RaggedStore
from pipeline.stores.root_attributes import stated
from pipeline.stores.zarr_arrays import ArrayMetadata, ZarrTree
from pipeline.wording import meant

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
        url: local path or any fsspec URL (`s3://...`, `memory://...`, `zip://::mels.zip`).
        layout: layout of the store; "auto" detects it.
        mel: mel contract, which gives n_mels and so the mel axis if the store states no contract. A contract that the
            store states overrides it.
        fingerprint: basis of the digests of grouped and padded stores: "chunks" (size, and time of change
            or ETag, of the objects that hold an utterance) or "content" (the values, so that listing the store reads
            every mel). Ragged stores keep digests of the content.
        options: options of the storage client.

    Raises:
        StoreError: if there is no store, or it cannot be read without guessing.
        ContractError: if no mel has the number of bands of the contract.
        StorageError: if storage cannot be reached.
    """
    if layout not in ("auto", *get_args(Layout)):
        names = ("auto", *get_args(Layout))
        raise StoreError(f"no layout is named {layout!r}{meant(layout, names)}; choose {', '.join(names)}")
    tree = ZarrTree(str(url), options)
    found = detect_layout(tree) if layout == "auto" else layout
    if found == "ragged":
        return RaggedStore(tree)
    return PaddedStore(tree, mel, fingerprint) if found == "padded" else GroupedStore(tree, mel, fingerprint)


def open_for_inspection(url: str, layout: Layout | Literal["auto"]) -> MelStore:
    """A mel store that may leave open which axis holds the mel bands, opened to be examined.

    If the store does not tell, the axis is found from the numbers of bands that the presets have.

    Args:
        url: local path or any fsspec URL.
        layout: layout of the store; "auto" detects it.

    Raises:
        StoreError, StorageError: as `open_store`.
    """
    try:
        return open_store(url, layout)
    except StoreError:
        opened = []
        for spec in {each.n_mels: each for each in PRESETS.values()}.values():
            with contextlib.suppress(StoreError, ContractError):
                opened.append(open_store(url, layout, spec).without_limits())
        if len(opened) != 1:  # no number of bands fits, or several do
            raise
        return opened[0]


def detect_layout(tree: ZarrTree) -> Layout:
    """The layout that a store states, or else shows by its arrays."""
    named = stated(tree.attributes, "layout")
    if named is not None:
        for layout in get_args(Layout):
            if named == layout:
                return layout  # type: ignore[no-any-return]
        raise StoreError(f"{tree.url} states the layout {named!r}; this melmill reads {', '.join(get_args(Layout))}")
    children = tree.children()
    if {"mel", "offsets", "keys"} <= set(children):
        return "ragged"
    if len(children) > _MOST_PADDED_ARRAYS:
        return "grouped"
    arrays, unreadable = _arrays(tree, children)
    lengths = {array.shape for array in arrays if array.path.lower() in LENGTH_ARRAYS and len(array.shape) == 1}
    flat = [array for array in arrays if len(array.shape) == 2 and array.kind == "float"]
    counts = [(array, item_axis(array.shape)) for array in arrays]
    deep = [(array.shape, axis) for array, axis in counts if axis is not None]
    solid = [
        shape for shape, axis in deep if two_axes(shape) is None or (shape[axis],) in lengths
    ]  # else it is one mel
    if unreadable and not solid and not flat:
        raise unreadable[0]
    return "padded" if solid and (lengths or not flat) else "grouped"


def _arrays(tree: ZarrTree, paths: list[str]) -> tuple[list[ArrayMetadata], list[StoreError]]:
    arrays, unreadable = [], []
    for path in paths:
        try:
            array = tree.array(path)
        except StoreError as error:
            unreadable.append(error)
        else:
            arrays += [] if array is None else [array]
    return arrays, unreadable
