"""Storage in an object store (S3, Google, Azure), through fsspec's clients.

The URL of a folder and the client's options go in; a Storage comes out. `transfers` makes each request, `lease` decides
who holds an output, and `processes` tells whether a process has ended. This folder must not know what the objects mean,
or what a job or a shard is.
"""

from pipeline.storage.objects.storage import ObjectStorage

__all__ = ["ObjectStorage"]
