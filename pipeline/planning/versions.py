"""Versions of what is installed here, and whether another machine's versions allow it to do the same work."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
from collections.abc import Mapping

_NAMED = ("melmill", "dask", "distributed", "zarr", "numpy", "onnxruntime", "soundfile", "soxr")

_MATTERS = {"python": 2, "melmill": 3, "dask": 2, "distributed": 2, "zarr": 2, "onnxruntime": 2}
"""Name -> number of leading parts of the version that must be equal on a worker. Later parts stand for fixes, which
change no protocol, format or sample. Dask's first two are year and month, and its protocol may change every month."""

NOT_INSTALLED = "not installed"


@functools.cache
def installed() -> Mapping[str, str]:
    """Name -> version of everything that the work of this process depends on."""
    found = {"python": platform.python_version()}
    for name in _NAMED:
        found[name] = _version(name)
    if found["onnxruntime"] == NOT_INSTALLED:
        found["onnxruntime"] = _version("onnxruntime-gpu")  # the same package under another name
    return found


@functools.cache
def processor() -> str:
    """The kind of this processor, as far as the last bits of a sample may depend on it.

    onnxruntime, soxr and numpy choose code by the processor, and other code adds in another order and rounds
    differently. What numpy and its BLAS chose tells the kinds apart. melmill's own kernels give the same bits on all.

    Returns:
        The architecture, the kernels that each BLAS chose, and the vector instructions that numpy found, such as
        `x86_64, openblas Zen, X86_V3`.
    """
    import numpy as np  # BLAS must be loaded to be asked
    from threadpoolctl import threadpool_info

    kernels = {f"{each['internal_api']} {each['architecture']}" for each in threadpool_info() if "architecture" in each}
    features = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return ", ".join([platform.machine(), *sorted(kernels), *features[-1:]])


def differing(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """The differences that matter, each with both versions.

    >>> differing({"dask": "2026.8.0", "zarr": "3.1.6"}, {"dask": "2025.1.0", "zarr": "3.1.2"})
    ['dask 2026.8.0 here, 2025.1.0 there']
    """
    return [
        f"{name} {ours[name]} here, {theirs.get(name, NOT_INSTALLED)} there"
        for name, numbers in _MATTERS.items()
        if name in ours and ours[name].split(".")[:numbers] != theirs.get(name, NOT_INSTALLED).split(".")[:numbers]
    ]


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return NOT_INSTALLED
