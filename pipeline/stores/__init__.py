"""Mel stores in Zarr: opening, validating, listing, reading."""
