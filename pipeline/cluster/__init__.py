"""Makes the shards of a run: in this process, by local workers, SLURM jobs or pods, or by a running Dask scheduler.

In: shard tasks, a `Job`, and a listener for events. Out: every shard is committed, or given up with a reason.
One loop, the `Dispatcher`, serves all clusters through the `Executor` protocol: `Here` is this process, `DaskExecutor`
is everything else. Only this room imports Dask, and not for `--scheduler synchronous`; `config` only asks
Dask for the number of cores. This room knows nothing of how tasks were planned, of publishing, or of what is inside a
shard.
"""
