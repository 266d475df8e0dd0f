"""What wids and webdataset do with an output, by the rules of wids 0.1.11 and webdataset 1.0.2, without torch.

The pages show how to load an output with these two. Where they are not installed, `installed` puts the modules in their
place, so that what the pages show is run.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, Any
from unittest import mock
from urllib.parse import urlparse

Sample = dict[str, Any]


def opened(url: str) -> IO[bytes]:
    """A tar, or what a `pipe:` URL's command writes, as `gopen_pipe` of webdataset/gopen.py runs it."""
    if not url.startswith("pipe:"):
        return open(url, "rb")
    return io.BytesIO(subprocess.run(url[5:], shell=True, check=True, capture_output=True).stdout)


def fetched(url: str, folder: str) -> str:
    """A local file with what is at a path or `s3://` URL, as `default_cmds` of wids/wids_dl.py get it."""
    if not url.startswith("s3://"):
        return url
    local = os.path.join(folder, url.replace("/", "%"))
    subprocess.run(f"aws s3 cp '{url}' '{local}'", shell=True, check=True)
    return local


def samples_of(tar: str) -> Iterator[Sample]:
    """The samples of a tar: members next to each other whose path is the same up to the first dot of the base name.

    As `base_plus_ext` and `group_by_keys` of webdataset/tariterators.py; of names like `__x__`, nothing.
    """
    current: Sample = {}
    with opened(tar) as file, tarfile.open(fileobj=file) as members:
        for member in members:
            if not member.isfile() or re.fullmatch(r"__.*__", os.path.basename(member.name)):
                continue
            found = re.fullmatch(r"((?:.*/|)[^.]+)[.]([^/]*)", member.name)
            if found is None:
                continue
            if current.get("__key__") != found[1]:
                if current:
                    yield current
                current = {"__key__": found[1], "__url__": tar}
            content = members.extractfile(member)
            assert content is not None
            assert found[2] not in current, f"{member.name}: a second .{found[2]}"
            current[found[2]] = content.read()
    if current:
        yield current


class WebDataset:
    """The samples of tars, one after the other."""

    def __init__(self, urls: list[str], shardshuffle: bool | int | None = None) -> None:
        assert isinstance(urls, list)
        self.urls = urls

    def __iter__(self) -> Iterator[Sample]:
        return (sample for url in self.urls for sample in samples_of(url))


class ShardListDataset:
    """The samples of an index by number, as wids/wids_specs.py and wids/wids.py read it."""

    def __init__(self, index: str) -> None:
        with tempfile.TemporaryDirectory() as cache:
            self._read(index, cache)

    def _read(self, index: str, cache: str) -> None:
        self.spec = json.loads(Path(fetched(index, cache)).read_bytes())
        assert self.spec["wids_version"] == 1, "Unknown wids_version"
        shards = self.spec.get("shardlist", [])
        assert shards, "No shards found"
        self.samples: list[Sample] = []
        for shard in shards:
            url = urlparse(shard["url"])
            assert not any((url.scheme, url.netloc, url.params, url.query, url.fragment)), shard["url"]
            base = urlparse(os.path.dirname(index))
            path = base._replace(path=os.path.normpath(os.path.join(base.path, url.path))).geturl()
            path = fetched(path, cache)
            found = list(samples_of(path))
            assert len(found) == shard["nsamples"], path
            assert os.stat(path).st_size == shard["filesize"], path
            self.samples += [{f".{name}" if name[0] != "_" else name: each[name] for name in each} for each in found]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def installed() -> mock._patch_dict:
    """A context in which `import wids` and `import webdataset` give what is here."""
    wids, webdataset = ModuleType("wids"), ModuleType("webdataset")
    vars(wids)["ShardListDataset"] = ShardListDataset
    vars(webdataset)["WebDataset"] = WebDataset
    return mock.patch.dict(sys.modules, {"wids": wids, "webdataset": webdataset})
