"""Arrays that are no mels though people keep mels in them, as objects or in other shapes: what messages say to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.stores.zarr_arrays import ArrayMetadata

_WHY = {
    "vlen-array": "keeps each item flat, so that bands and frames cannot be told apart",
    "pickle": "may run code when it is decoded",
}


def about_object_arrays(arrays: Iterable[ArrayMetadata]) -> str:
    """What to add to the message that a store has no mels, if one of its arrays holds objects; else "".

    Args:
        arrays: arrays of the store that are not mels.
    """
    for array in arrays:
        if array.kind == "other" and (codec := _object_codec(array)):
            why = _WHY.get(codec, "builds objects of any kind")
            return (
                f". Array {array.path} {list(array.shape)} holds objects: its codec {codec} {why}, so melmill does not "
                "read it. Write one array per utterance, group.create_array(key, data=mel), or save each mel as a .npy "
                "file and use melmill pack"
            )
    return ""


def about_other_shapes(arrays: Sequence[ArrayMetadata]) -> str:
    """What to add to the message that a store has no mels, if it has arrays of more dimensions, or of other values.

    Args:
        arrays: arrays of the store with two dimensions or more.
    """
    if not arrays:
        return ""
    shown = ", ".join(f"{array.path} is {array.dtype} {list(array.shape)}" for array in arrays[:3])
    return (
        f" ({shown}{', ...' if len(arrays) > 3 else ''}); write each mel as an array of its own, or mels of one length "
        "as [N, n_mels, frames] with an array named lengths"
    )


def _object_codec(array: ArrayMetadata) -> str:
    """The codec that turns an array's objects into bytes; "" if its items are no objects."""
    if array.zarr_format == 2:
        filters = array.document.get("filters") or []
        return str(filters[-1].get("id", "")) if array.dtype == "|O" and filters else ""
    names = [codec.get("name", "") for codec in array.document["codecs"] if isinstance(codec, dict)]
    named = [str(name).removeprefix("numcodecs.") for name in names]
    return next((name for name in named if name.startswith(("vlen-", "pickle", "json2", "msgpack2"))), "")
