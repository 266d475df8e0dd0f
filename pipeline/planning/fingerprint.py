"""The fingerprint of a shard, and what has changed if it is another one. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pipeline.config import Job
from pipeline.output.records import Ingredients
from pipeline.planning.commit_index import CommittedShard
from pipeline.stores.base import Catalogue
from pipeline.wording import counted

FORMAT_VERSION = 1
"""Part of every fingerprint. It is raised when the same inputs no longer give the same output."""


def ingredients_of(job: Job) -> Ingredients:
    """What the shards of this job are made with, besides their mels."""
    output = job.config.output
    words: list[str] = [output.container, output.codec, output.subtype]
    if output.sample_rate not in (None, job.mel.sample_rate):
        words.append(f"{output.sample_rate} Hz")
    if output.loudness is not None:
        words.append(f"{output.loudness:g} LUFS under {output.true_peak:g} dBTP")
    return Ingredients(
        vocoder=job.vocoder_digest,
        contract=json.dumps(job.mel.to_dict() | _reframed(job), sort_keys=True),
        output=" ".join(words),
        sidecar=output.sidecar,
    )


def _reframed(job: Job) -> dict[str, str]:
    return {} if job.config.input.framing == "exact" else {"input.framing": job.config.input.framing}


def shard_fingerprint(catalogue: Catalogue, members: NDArray[np.int64], ingredients: Ingredients) -> str:
    """Digest over utterances, their mels, and what they are made with. Positions in the catalogue are ascending."""
    at: slice | NDArray[np.int64] = members
    if len(members) and members[-1] - members[0] == len(members) - 1:  # a slice copies nothing
        at = slice(int(members[0]), int(members[-1]) + 1)
    return fingerprint_of(catalogue.keys[at].tolist(), catalogue.digests[at].tobytes(), ingredients)


def fingerprint_of(keys: Sequence[str], digests: bytes, ingredients: Ingredients) -> str:
    """The fingerprint of a shard.

    Args:
        keys: keys of its utterances, in order.
        digests: digests of their mels, of one size, one after another.
        ingredients: ingredients that it is made with.
    """
    digest = hashlib.blake2b(digest_size=16)
    head = [FORMAT_VERSION, ingredients.vocoder, ingredients.contract, ingredients.output]
    digest.update(json.dumps(head).encode())
    encoded = _encoded(keys)
    lengths = np.fromiter(map(len, encoded), "<i8", len(encoded))
    pieces = [b""] * (3 * len(encoded))
    pieces[0::3], pieces[1::3] = lengths.view("V8").tolist(), encoded
    pieces[2::3] = np.frombuffer(digests, f"V{len(digests) // len(keys)}").tolist() if keys else []
    digest.update(b"".join(pieces))
    return digest.hexdigest()


def _encoded(keys: Sequence[str]) -> list[bytes]:
    """Each key in UTF-8. All at once takes a third of the time, unless there is a line end in one."""
    encoded = "\n".join(keys).encode("utf-8", "surrogatepass").split(b"\n")
    return encoded if len(encoded) == len(keys) else [key.encode("utf-8", "surrogatepass") for key in keys]


def is_reusable(old: CommittedShard, ingredients: Ingredients, stale: Container[str]) -> bool:
    """Whether the audio in a shard whose mels have changed is that of now where the mels are those of now.

    A shard with quarantined utterances is made again as a whole.

    Args:
        old: the newest commit with the shard's number.
        ingredients: ingredients that the shard would be made with now.
        stale: names of commits whose objects are lost or damaged.
    """
    made_with = old.ingredients
    alike = (made_with.vocoder, made_with.contract, made_with.output) == (
        ingredients.vocoder,
        ingredients.contract,
        ingredients.output,
    )
    return alike and not old.failed and old.name not in stale


def why_made(
    old: CommittedShard | None,
    members: int,
    changed: int,
    ingredients: Ingredients,
    elsewhere: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Why a shard is made whose audio no commit holds, as text.

    Args:
        old: the newest commit with the shard's number; None if there is none.
        members: number of utterances in the shard now.
        changed: number of them whose mel has changed.
        ingredients: ingredients that the shard would be made with now.
        elsewhere: see `Job.elsewhere`.
    """
    if old is None:
        return "new"
    return _why_stale(members, old.utterances, changed, ingredients, old.ingredients, elsewhere)


def why_repacked(newest: CommittedShard | None, members: int, sidecar: str, old: CommittedShard) -> str:
    """Why a shard is made again though a commit holds its audio, as text.

    Args:
        newest: the newest commit with the shard's number.
        members: number of utterances in the shard.
        sidecar: what is to lie beside each audio.
        old: the commit that holds its audio.
    """
    made_with = old.ingredients.sidecar or "plain"
    if made_with != sidecar:
        return f"sidecar {made_with} -> {sidecar}"
    if newest is not None and newest.texts_changed:
        return f"{newest.texts_changed} of {counted(members, 'text')} changed"
    return "the fields of the metadata changed" if newest is old else "its audio is there with other texts"


def _why_stale(
    members: int,
    members_then: int,
    changed: int,
    ingredients: Ingredients,
    made_with: Ingredients,
    elsewhere: Mapping[str, str],
) -> str:
    """What has changed since a shard was made, as text. New utterances get new shards, so none can be added.

    Args:
        members: number of utterances in the shard now.
        members_then: number of utterances in it when it was made.
        changed: number of `members` whose mel has changed.
        ingredients: ingredients that the shard would be made with now.
        made_with: ingredients that it was made with.
        elsewhere: see `Job.elsewhere`.
    """
    reasons = []
    if changed:
        reasons.append(f"{changed} of {counted(members, 'mel')} changed")
    if members < members_then:
        gone = members_then - members
        reasons.append(f"{gone} of {members_then} utterances {'is' if gone == 1 else 'are'} no longer in it")
    if made_with.vocoder != ingredients.vocoder:
        how = elsewhere.get(made_with.vocoder)
        more = f" ({how})" if how is not None else ""
        reasons.append(f"vocoder {made_with.vocoder[:8]} -> {ingredients.vocoder[:8]}{more}")
    if made_with.output != ingredients.output:
        reasons.append(f"output {made_with.output} -> {ingredients.output}")
    if made_with.contract != ingredients.contract:
        reasons.append("the mel contract changed")
    return "; ".join(reasons) or "the order of its utterances changed"
