"""Array mode: one job in parts that know nothing of each other, and need no scheduler of ours. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from pipeline.errors import ConfigError
from pipeline.planning.plan import PlannedShard


@dataclass(frozen=True)
class Part:
    """One of so many parts of a job.

    All parts make the same plan. Each begins with its own shards, and goes on with those of the others that are not
    committed by then: so a part that died, or never began, is nobody's loss. Two that make the same shard lose time,
    never more: the second finds the first's commit.

    Args:
        index: 0 to count - 1.
        count: of the parts.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The part that `INDEX/COUNT` names. INDEX counts from 0, or from 1: then the last is the one that 0 would be.

        >>> Part.parse("2/8"), Part.parse("8/8")
        (Part(index=2, count=8), Part(index=0, count=8))

        Raises:
            ConfigError: if it names none.
        """
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
        index, count = map(int, found.groups()) if found else (0, 0)
        if not count or index > count:
            raise ConfigError(
                f"--part {text}: it must be INDEX/COUNT, with an INDEX from 0 to COUNT - 1 (or from 1 to COUNT), as "
                "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT of an array that begins at 0 or 1"
            )
        return cls(index % count, count)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def owns(self, shard: PlannedShard) -> bool:
        """Whether this part begins with it. By its number, which is the same in every part, whenever that began."""
        return shard.number % self.count == self.index

    def order(self, shards: Iterable[PlannedShard]) -> Iterator[PlannedShard]:
        """Its own shards, then those of the other parts, from the end: they come from the beginning.

        Those of the next part come first, so that two parts that are done early help two others.
        """
        shards = list(shards)
        yield from filter(self.owns, shards)
        others = (shard for shard in reversed(shards) if not self.owns(shard))
        yield from sorted(others, key=lambda shard: (shard.number - self.index) % self.count)


WHOLE = Part(0, 1)
"""All of a job."""
