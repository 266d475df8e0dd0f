"""Makes one shard: reads its mels, decodes, examines and encodes them, and commits the result.

In: a `ShardTask`, a `Job`, a number of threads, and a callable that is told how far the shard is.
Out: objects and a commit record in the output, and a `ShardCommitted` for the driver.
It runs in the main process, in a local worker or on a node of a cluster, and must not know which: nothing in here
imports Dask, and nothing in here decides which shard comes next.
"""
