"""Faults injected into real runs. `make test` runs a few trials of each, `make test-faults` as many as were asked."""
