"""Where an output lies, behind five verbs: read, list, put_if_absent, replace, delete."""

from pipeline.storage.base import PRIVATE, SCRATCH, Storage, exists, translated
from pipeline.storage.local import LocalStorage, local_path

__all__ = ["PRIVATE", "SCRATCH", "LocalStorage", "Storage", "exists", "local_path", "open_storage", "translated"]


def open_storage(url: str) -> Storage:
    """The storage at a local path or `file://` URL. Nothing is created before the first write.

    Raises:
        ConfigError: if the URL is of a kind that melmill cannot write to.
    """
    return LocalStorage(local_path(url))
