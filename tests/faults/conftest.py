"""The fixtures of the faults."""

from support.faults.fixtures import (  # noqa: F401  # fixtures
    _object_store,
    fast_path,
    few_job,
    few_reference,
    few_store,
    new_place,
    outputs,
    reference,
    small_job,
    small_mels,
    small_store,
)
