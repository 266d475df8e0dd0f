"""Does a whole job: plans it, makes what is missing, publishes the result, and writes down how it goes.

In: a `JobConfig` and a listener for events. Out: a `RunReport`, a `PartReport` or a `RunPlan`, and the output itself.
`run` does a job in one piece and `run_part` one part of it; both use `steps`. `report` judges how a run ended,
`publish` writes the lists, and `reporting` the status. This room knows nothing of Dask and nothing of the command line:
it never prints and never ends the process.
"""
