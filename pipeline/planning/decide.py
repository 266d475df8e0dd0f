"""Decides about one shard: it is there, its audio is copied, or it is decoded. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.planning.commit_index import CommittedShard


@dataclass(frozen=True)
class Decision:
    """What becomes of a shard.

    Args:
        reason: why it is to be made, as text; empty if it is there.
        revision: number of times that the same shard was made before.
        texts: what its JSON files say besides its audio; see ShardId.
        failed: number of utterances that are quarantined in it, if it is there.
        copied_from: name of the commit whose audio is copied; empty if it is there, or all of it is decoded.
        partly: whether that commit holds audio of some of the shard's utterances only; the others are decoded.
    """

    reason: str
    revision: int = 0
    texts: str = ""
    failed: int = 0
    copied_from: str = ""
    partly: bool = False


def decide(
    alike: Sequence[CommittedShard],
    stale: Mapping[str, str],
    texts: Callable[[], str],
    why: Callable[[], str],
    why_repacked: Callable[[CommittedShard], str],
    reusable: str = "",
) -> Decision:
    """What becomes of a shard with some number and fingerprint.

    Args:
        alike: all commits with this number and fingerprint: they hold the same audio.
        stale: name of a commit -> why its shard is to be made again though nothing has changed.
        texts: gives what the shard's JSON files are to say.
        why: says why it is made if no commit holds its audio.
        why_repacked: says why it is made though a commit holds its audio.
        reusable: name of a commit that holds the audio of some of its utterances; empty if there is none.
    """
    there = [shard for shard in alike if shard.current]
    # Records of early versions of melmill have no texts, whatever their JSON files say.
    there = there or [each for each in alike if each.ingredients.sidecar and each.texts == texts()]
    if not alike:
        return Decision(why(), texts=texts(), copied_from=reusable, partly=bool(reusable))
    last = max(there or alike, key=lambda shard: (shard.generation, shard.revision, shard.name))
    if last.name in stale:
        return Decision(stale[last.name], last.revision + 1, texts())
    if there:
        return Decision("", last.revision, last.texts, last.failed)
    return Decision(why_repacked(last), texts=texts(), copied_from=last.name)
