"""Divides a job into parts that know nothing of each other, for array jobs of any scheduler. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from pipeline.errors import ConfigError
from pipeline.planning.plan import PlannedShard


@dataclass(frozen=True)
class Part:
    """One part of a job.

    All parts make the same plan. Each begins with its own shards, and continues with those of other parts that are not
    committed by then, so the work of a part that died, or never began, is done by the others. If two parts make the
    same shard, they lose time and nothing else: the second finds the first one's commit.

    Args:
        index: index of the part, 0 to count - 1.
        count: number of parts.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The part that `INDEX/COUNT` names. INDEX counts from 0 or from 1: COUNT/COUNT is the same part as 0/COUNT.

        >>> Part.parse("2/8"), Part.parse("8/8")
        (Part(index=2, count=8), Part(index=0, count=8))

        Raises:
            ConfigError: if the text is not valid.
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
        """Whether this part begins with a shard. The shard's number decides, which is the same for every part."""
        return shard.number % self.count == self.index

    def order(self, shards: Iterable[PlannedShard]) -> Iterator[PlannedShard]:
        """The part's own shards, then those of other parts in reverse order, since their owners begin at the front.

        Long shards come first, so that no worker is left with one at the end. Of the others, shards of the next part
        come first, so that two parts that finish early help two different parts.
        """
        shards = sorted(shards, key=lambda shard: -shard.seconds)
        yield from filter(self.owns, shards)
        others = (shard for shard in reversed(shards) if not self.owns(shard))
        yield from sorted(others, key=lambda shard: (shard.number - self.index) % self.count)


WHOLE = Part(0, 1)
"""All of a job."""
