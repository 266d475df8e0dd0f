"""What is asked of an object store, seen where fsspec's clients are called: for `injection`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.faults.places import client

KINDS = {
    "_pipe_file": "write",
    "_put_file": "write",
    "_rm_file": "unlink",
    "_cat_file": "read",
    "_inner_fetch": "read",
    "_info": "stat",
    "_ls": "list",
    "list_multipart_uploads": "list",
    "abort_multipart_upload": "unlink",
}
"""What a client does, by the name that it has for it, as an operation on a folder."""


def patch_clients(injection: Any, patch: Callable[[Any, str, Callable[..., Any]], None]) -> None:
    """Have everything that clients are asked for by the product told to an injection, in the thread that asks."""
    import fsspec.asyn
    import s3fs.core

    real = fsspec.asyn.sync

    def sync(loop: Any, func: Callable[..., Any], *given: Any, **named: Any) -> Any:
        kind, path = _request(func.__name__, given, named)
        if getattr(func, "__self__", None) is client():
            kind = ""
        return injection.told(kind, injection.below(path) if kind else None, real, loop, func, *given, **named)

    for module in (fsspec.asyn, s3fs.core):
        patch(module, "sync", sync)


def _request(name: str, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[str, str]:
    if name == "_call_s3":
        return KINDS.get(given[0], ""), f"{named['Bucket']}/{named.get('Key', named.get('Prefix', ''))}".rstrip("/")
    if name == "_inner_fetch":
        return KINDS[name], f"{given[1]}/{given[2]}"
    if name == "_put_file":
        return KINDS[name], given[1]
    return KINDS.get(name, ""), given[0] if given else ""
