"""What is to be made, and why.

`prepare` opens the store, the vocoder and the output, and checks that they fit (`contract`). `commit_index` says what
is committed, `plan` compares it with the store and gives the shards to make, `parts` divides them among the parts of a
job, `fingerprint` decides what makes a shard stale. `utterance_metadata` reads text and speakers; `versions` compares
what is installed on two machines. A plan is data. Nothing here writes to the output, runs a vocoder on the corpus, or
knows Dask.
"""
