"""A column of texts of all rows, kept as numbers: a million rows take four megabytes, as long as the values are few."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

OTHER = -2
"""Code of a value that came when there were too many to keep."""
MISSING = -1


class CodedColumn:
    """A column whose values get numbers in the order in which they come.

    Args:
        most: number of different values that are kept; the others have the code OTHER.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._codes: dict[str, int] = {}
        self._column = array("i")
        self.all_kept = True
        """Whether every value has a code of its own."""

    def add(self, value: str) -> None:
        """Add the value of the next row."""
        code = self._codes.get(value)
        if code is None:
            if len(self._codes) < self._most:
                code = self._codes[value] = len(self._codes)
            else:
                code, self.all_kept = OTHER, False
        self._column.append(code)

    def skip_to(self, row: int) -> None:
        """Note that the rows before this one that were not added have no value."""
        if (missing := row - len(self._column)) > 0:
            self._column.extend([MISSING] * missing)

    @property
    def values(self) -> list[str]:
        """The values, by their codes."""
        return list(self._codes)

    def codes(self) -> NDArray[np.int32]:
        """The code of each row, `[rows] int32`."""
        return np.frombuffer(self._column, np.int32) if len(self._column) else np.zeros(0, np.int32)
