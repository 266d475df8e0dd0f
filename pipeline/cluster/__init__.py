"""Makes the shards of a run: in this process, by local workers, SLURM jobs or pods, or by a running Dask scheduler.

In: shard tasks, a `Job`, and a listener for events. Out: every shard is committed, or given up with a reason.
One loop, the `Dispatcher`, serves all clusters through the `Executor` protocol: `Here` is this process, `DaskExecutor`
is everything else. Dask is imported in this room only, and not for `--scheduler synchronous`. This room knows nothing
of plans, of publishing, or of what is inside a shard.
"""
