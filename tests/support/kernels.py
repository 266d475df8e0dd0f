"""The targets whose code this machine can run."""

import platform

import llvmlite.binding as llvm
import pytest

from pipeline.kernels.target import Target, host, named


def _runnable() -> list[Target]:
    found = [each for each in [host()] if each is not None]
    has = dict(llvm.get_host_cpu_features())
    if platform.machine() == "x86_64":
        found.append(named("x86-64"))  # slow: it has no fused multiply-add
    if has.get("avx2") and has.get("fma"):
        found.append(named("haswell"))
    if has.get("avx512f"):
        found.append(named("skylake-avx512"))
    return found


TARGETS = _runnable()


def _with_bfloat16() -> list[Target]:
    if not (TARGETS and TARGETS[0].bfloat16):
        return []
    return [TARGETS[0], named("znver4")]


BFLOAT16_TARGETS = _with_bfloat16()
"""Those that have products of bfloat16."""
needs_bfloat16 = pytest.mark.skipif(not BFLOAT16_TARGETS, reason="this processor has no AVX512_BF16")
