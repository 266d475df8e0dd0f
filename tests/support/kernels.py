"""The targets whose code this machine can run."""

import llvmlite.binding as llvm

from pipeline.kernels.target import Target, host, named


def _runnable() -> list[Target]:
    found = [each for each in [host()] if each is not None]
    has = dict(llvm.get_host_cpu_features())
    if has.get("avx2") and has.get("fma"):
        found.append(named("haswell"))
    if has.get("avx512f"):
        found.append(named("skylake-avx512"))
    return found


TARGETS = _runnable()
