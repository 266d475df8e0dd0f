"""Outputs to be reported: prompts with texts and speakers; some have keys and texts that would like to be code."""

import json
import shutil
from pathlib import Path
from typing import Any

import zarr
from support.corpora import SPEC
from support.paths import PROMPTS

import pipeline
from pipeline.config import JobConfig
from pipeline.pack import pack_source, read_metadata

HOSTILE = {
    "</script><img src=x onerror=document.title='owned'>": "</script><script>document.title='owned'</script>",
    "<!--<script>": "<img src=x onerror=document.title='owned'>",
    "__proto__": "{{constructor.constructor('document.title=1')()}}",
    "constructor": "\u202etfel ot thgir\u202c",
    "שלום/עולם": "שלום עולם, with both directions",
    "emoji 😀": "😀" * 200,
    "long": "nosuchword" * 500,
    "javascript:document.title='owned'": "javascript:document.title='owned'",
}
"""Key -> text."""


def described_prompts(folder: Path, hostile: bool = False) -> Path:
    """The prompts as a ragged store. Its utterances have speaker, language and a session, and most of them a text.

    Args:
        folder: where to make it.
        hostile: whether the first utterances have the keys and texts of HOSTILE.
    """
    told = []
    names = iter(HOSTILE.items() if hostile else ())
    for number, path in enumerate(sorted(PROMPTS.glob("*/*.flac"))):
        voice = path.parent.name
        key, text = next(names, (f"{voice}/{path.stem}", path.stem.replace("-", " ").capitalize() + "."))
        target = folder / "recordings" / f"{key}.flac"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        row = {"key": key, "speaker": voice, "language": voice[:2], "session": number % 3}
        told.append(row | ({"text": text} if number % 6 or key in HOSTILE else {}))
    listed = folder / "meta.jsonl"
    listed.write_text("".join(json.dumps(each) + "\n" for each in told))
    store = folder / "mels.zarr"
    metadata = read_metadata(str(listed))
    pack_source(str(folder / "recordings"), str(store), SPEC, "audio", metadata=metadata, workers=1)
    return store


def spoil(store: Path, *utterances: int) -> None:
    """Put NaN into mels of a ragged store, so that a run quarantines them."""
    group = zarr.open_group(str(store), mode="r+")
    offsets: Any = group["offsets"]
    for utterance in utterances:
        mel: Any = group["mel"]
        mel[int(offsets[utterance]) + 3] = float("nan")


def made(store: Path, out: Path, vocoder: str = "lift", **output: Any) -> Path:
    """The output of a run in this process, in shards of ten seconds."""
    pipeline.run(
        JobConfig.build(
            {
                "input": {"store": str(store)},
                "vocoder": {"name": vocoder},
                "output": {"url": str(out), "shard_seconds": 10, **output},
                "cluster": {"kind": "synchronous"},
                "quality": {"max_failure_rate": 1, "max_clipped_rate": 1},
            }
        )
    )
    return out
