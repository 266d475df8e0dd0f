"""A file system `guarded://USER:PASSWORD@host/path?sig=SIGNATURE`, which opens for these and tells them in errors.

As clients of object stores do at their worst. What is at the path is a local folder.
"""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import fsspec
from fsspec.spec import AbstractFileSystem

PASSWORD = "pa55-of-the-store"
SIGNATURE = "51gn4ture-of-the-store"
BROKEN = ".broken"
"""With a file of this name in a store, its mels cannot be read."""
defect: str | None = None
"""While there is this file, no store can be opened, for a reason that nobody expects."""


def url_of(path: object) -> str:
    return f"guarded://anna:{PASSWORD}@host{path}?sig={SIGNATURE}"


class Guarded(AbstractFileSystem):
    """Hands all on to the local file system."""

    protocol = "guarded"

    def __init__(
        self, user: str | None = None, password: str | None = None, sig: str | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        if (password, sig) != (PASSWORD, SIGNATURE):
            raise PermissionError(f"403 for {user} with {'another' if password else 'no'} password")
        self._local = fsspec.filesystem("file")

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return urlsplit(path).path if "://" in path else path

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        parts = urlsplit(path)
        return {"user": parts.username, "password": parts.password, "sig": parse_qs(parts.query).get("sig", [None])[0]}

    def _checked(self, path: str) -> str:
        path = self._strip_protocol(path)
        root, _, name = path.partition(".zarr/")
        if "mel/c/" in name and self._local.exists(f"{root}.zarr/{BROKEN}"):
            raise ValueError(f"GET {url_of(path)} password={PASSWORD}")
        return path

    def invalidate_cache(self, path: str | None = None) -> None:
        if defect is not None and self._local.exists(defect):
            raise LookupError(f"no cache for {url_of(path)} password={PASSWORD}")

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
        return self._local.ls(self._strip_protocol(path), detail=detail, **options)

    def info(self, path: str, **options: Any) -> Any:
        return self._local.info(self._strip_protocol(path), **options)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> Any:
        return self._local.cat_file(self._checked(path), start, end, **options)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        return self._local.open(self._checked(path), mode)


fsspec.register_implementation("guarded", Guarded, clobber=True)
