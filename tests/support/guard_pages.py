"""Arrays that end, or begin, where no memory may be touched: one number too far ends the process."""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import multiprocessing
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

_PROT_NONE = 0


def guarded(values: NDArray[Any], edge: Literal["begin", "end"]) -> NDArray[Any]:
    """A copy of the values, between two pages that nobody may read or write, directly at the one or the other."""
    page = mmap.PAGESIZE
    pages = -(-values.nbytes // page)
    memory = mmap.mmap(-1, (pages + 2) * page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    for guard in (address, address + (pages + 1) * page):
        assert libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), _PROT_NONE) == 0, ctypes.get_errno()
    offset = page if edge == "begin" else (pages + 1) * page - values.nbytes
    found = np.frombuffer(memory, values.dtype, values.size, offset).reshape(values.shape)
    found[...] = values
    return found


def exit_code(work: Callable[[], object]) -> int | None:
    """How a process that does the work ends: 0, or the signal as a negative number. It is a fork of this one."""

    def quietly() -> None:
        faulthandler.disable()  # a signal is what the caller asks about
        work()

    process = multiprocessing.get_context("fork").Process(target=quietly)
    process.start()
    process.join()
    return process.exitcode
