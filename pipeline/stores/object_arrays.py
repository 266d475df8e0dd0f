"""Arrays of objects, in which people keep mels of different lengths: not read; the message says what to do."""

from __future__ import annotations

from collections.abc import Iterable

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


def _object_codec(array: ArrayMetadata) -> str:
    """The codec that turns an array's objects into bytes; "" if its items are no objects."""
    if array.zarr_format == 2:
        filters = array.document.get("filters") or []
        return str(filters[-1].get("id", "")) if array.dtype == "|O" and filters else ""
    names = [codec.get("name", "") for codec in array.document["codecs"] if isinstance(codec, dict)]
    named = [str(name).removeprefix("numcodecs.") for name in names]
    return next((name for name in named if name.startswith(("vlen-", "pickle", "json2", "msgpack2"))), "")
