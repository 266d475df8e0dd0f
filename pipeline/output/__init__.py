"""What a run leaves behind: everything that is known of an output from its files alone.

`layout` names the files, `records` and `publication` are their values, `lists` writes the manifest, and `ledger` reads
and writes commits and publications. `status` tells how far a run is, `audit` reads all of it again, `garbage` finds
what nobody needs. In: the URL or the Storage of an output. Out: values and events. It must not know stores, vocoders,
plans or Dask.
"""
