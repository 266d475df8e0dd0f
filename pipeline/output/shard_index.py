"""index.json: the list of the current shards, for readers that take shards and not rows.

It has the format of wids, the index of WebDataset (wids 0.1.11, `wids_specs.py`, wids_version 1), one entry a line:

    wids_version   1
    name           last part of the output's URL
    shardlist      [{url, nsamples, filesize}, ...], the tars in the order of the manifest; url is relative to OUT
    files          [{key, file, filesize}, ...], the audio files; only in an output of container `files`

A folder of files is no shard to wids: such an output has an empty shardlist, which wids refuses, and the list `files`.
There is no md5sum: it would take a second reading of every tar.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pipeline.output.commit_format import Commit
from pipeline.output.layout import INDEX, shard_of, shard_path
from pipeline.storage import Storage

WIDS_VERSION = 1


class IndexWriter:
    """Writes an index while shards are added. Entries of tars, about 100 bytes a shard, wait in memory until the end.

    Args:
        write: callable that takes the next bytes of the file.
        name: name of the output.
    """

    def __init__(self, write: Callable[[bytes], None], name: str) -> None:
        self._write = write
        self._tars: list[str] = []
        self._has_files = False
        write(f'{{\n"wids_version": {WIDS_VERSION},\n"name": {json.dumps(name)},\n'.encode())

    def add(self, commit: Commit) -> None:
        """List the objects of the next shard: its tar, or its audio files."""
        made = commit.head.made
        if made and all(each.name.endswith(".tar") for each in commit.objects):
            (tar,) = commit.objects
            self._tars.append(json.dumps({"url": tar.name, "nsamples": made, "filesize": tar.bytes}))
            return
        for row in commit.record.rows:
            entry = {"key": row.key, "file": row.object_name, "filesize": row.bytes}
            self._write(((",\n" if self._has_files else '"files": [\n') + json.dumps(entry)).encode())
            self._has_files = True

    def finish(self) -> None:
        """Write what is left."""
        shards = ",\n".join(self._tars)
        self._write((("\n],\n" if self._has_files else "") + f'"shardlist": [\n{shards}\n]\n}}\n').encode())


def indexed_shards(storage: Storage) -> set[str]:
    """The shards that the index of an output names: tars, and folders of files, relative to the output.

    Raises:
        FileNotFoundError: if there is no index.
        ValueError: if it is not an index of shards.
    """
    with storage.read(INDEX) as file:
        try:
            plain: dict[str, Any] = json.load(file)
            if plain["wids_version"] != WIDS_VERSION:
                raise ValueError(f"wids_version is {plain['wids_version']!r}, not {WIDS_VERSION}")
            tars = {str(each["url"]) for each in plain["shardlist"]}
            shards = (shard_of(each["file"]) for each in plain.get("files", []))
            return tars | {shard_path(shard) for shard in shards if shard is not None}
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not an index of shards: {error!r}") from error
