"""Lengths and offsets, which are whole numbers: also where xarray or pandas made floating-point values of them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import StoreError
from pipeline.stores.zarr_arrays import ArrayMetadata, ZarrTree, read_column


def read_whole_numbers(tree: ZarrTree, array: ArrayMetadata) -> tuple[NDArray[np.int64], dict[int, str]]:
    """The values of an array of whole numbers, and what is wrong with those that are not whole.

    If most values have a fraction, the array does not count frames (but seconds, say), so it is refused as a whole.
    Otherwise a value that has one is wrong alone, and so is one that is NaN, as xarray fills gaps, or too large for its
    data type to hold every whole number.

    Args:
        tree: store that holds the array.
        array: metadata of the array, `[items]`, integer or floating.

    Returns:
        The values, `[items] int64`, 0 where they are wrong; and by index, what is wrong, as text.

    Raises:
        StoreError: naming the array, its data type, the item and its value, if most values have a fraction; and as
            `read_column`.
        StorageError: if storage fails.
    """
    values = read_column(tree, array)
    if values.dtype.kind != "f":
        return values.astype(np.int64), {}
    limit = 2 ** (np.finfo(values.dtype).nmant + 1)  # from here on, whole numbers are rounded
    exact = np.abs(values) < limit  # False for NaN
    broken = exact & (values != np.trunc(values))
    if 2 * np.count_nonzero(broken) > np.count_nonzero(exact):
        at = int(np.argmax(broken))
        raise StoreError(
            f"{tree.url}: {array.path} is {array.dtype}, and {array.path}[{at}] is {values[at]}, which is not a whole "
            "number; it must count frames"
        )
    whole = exact & ~broken
    wrong = {int(at): _wrong(array, int(at), float(values[at]), limit) for at in np.flatnonzero(~whole)}
    return np.where(whole, values, 0).astype(np.int64), wrong


def _wrong(array: ArrayMetadata, at: int, value: float, limit: int) -> str:
    if math.isnan(value):
        why = "not a number"
    elif abs(value) < limit:
        why = "not a whole number"
    else:
        why = f"and {array.dtype} holds whole numbers only below {limit}"
    return f"{array.path}[{at}] is {value} ({array.dtype}), {why}"
