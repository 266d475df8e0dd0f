"""The targets whose code this machine can run."""

import platform

import llvmlite.binding as llvm

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
