"""Object stores, through fsspec's clients."""

from pipeline.storage.objects.storage import ObjectStorage

__all__ = ["ObjectStorage"]
