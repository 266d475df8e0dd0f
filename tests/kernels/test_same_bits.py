"""Kernels compute the same bits for every processor whose code this machine can run; `make test-aarch64` adds ARM."""

import pytest
from support.kernel_bits import CASES, digest
from support.kernels import TARGETS


@pytest.mark.parametrize("case", CASES)
def test_every_target_gives_one_digest(case: str) -> None:
    assert len(TARGETS) > 1
    assert len({digest(case, target) for target in TARGETS}) == 1
