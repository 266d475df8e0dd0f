"""Counts characters and words of all texts."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from pipeline.report.page_data.figures import TextStatistics

_CODE_POINTS = 0x110000
_MOST_WORDS = 500_000
"""Number of different words that are counted, about 60 MB. Beyond it, words are no longer told apart."""
_CHARACTERS_SHOWN = 300
_WORDS_SHOWN = 100


class TextCounts:
    """Takes the texts of the rows, some at a time."""

    def __init__(self) -> None:
        self._utterances = self._words = 0
        self._characters: NDArray[np.int64] = np.zeros(_CODE_POINTS, np.int64)
        self._vocabulary: Counter[str] | None = Counter()

    def add(self, texts: list[str]) -> None:
        """Take the texts of the next rows, without those that are empty."""
        self._utterances += len(texts)
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
        counts = np.bincount(codes)
        self._characters[: len(counts)] += counts
        words = " ".join(texts).split()
        self._words += len(words)
        if self._vocabulary is not None:
            self._vocabulary.update(words)
            if len(self._vocabulary) > _MOST_WORDS:
                self._vocabulary = None

    @property
    def any(self) -> bool:
        """Whether there was a text."""
        return self._utterances > 0

    def shown(self) -> TextStatistics | None:
        """What the page shows of them; None if there was none."""
        if not self._utterances:
            return None
        there = np.flatnonzero(self._characters)
        often = there[np.argsort(-self._characters[there], kind="stable")][:_CHARACTERS_SHOWN]
        words = self._vocabulary
        return TextStatistics(
            self._utterances,
            self._words,
            int(self._characters.sum()),
            len(words) if words is not None else None,
            tuple((chr(code), int(self._characters[code])) for code in often.tolist()),
            len(there),
            tuple(words.most_common(_WORDS_SHOWN)) if words is not None else (),
            sum(count == 1 for count in words.values()) if words is not None else None,
        )
