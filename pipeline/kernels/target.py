"""What code is compiled for: a processor, its instructions and its vector registers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import llvmlite.binding as llvm

# Lanes, rows, vectors. Measured with the products of HiFi-GAN's convolutions: `rows` times `vectors` registers are
# accumulators, and enough are left for a row of the second factor and a broadcast value of the first.
_REGISTERS = {"avx512": (16, 12, 2), "avx2": (8, 6, 2), "neon": (4, 8, 2)}


@dataclass(frozen=True)
class Target:
    """A processor as LLVM names it, and how its vector registers are used.

    Args:
        triple: LLVM's name of the platform, such as "x86_64-unknown-linux-gnu".
        cpu: LLVM's name of the processor, such as "znver4" or "haswell".
        features: instructions that it has, and that it lacks, as LLVM writes them: "+avx2,-avx512f".
        lanes: number of float32 in a vector register.
        rows: number of rows of accumulators in a block of a matrix product.
        vectors: number of vector registers in a row of accumulators.
    """

    triple: str
    cpu: str
    features: str
    lanes: int
    rows: int
    vectors: int

    @property
    def name(self) -> str:
        """The target in one line, for people."""
        return f"{self.cpu} ({32 * self.lanes}-bit vectors)"


@cache
def host() -> Target | None:
    """This machine; None if its processor has no fused multiply-add on vectors.

    Without one, the same samples would cost ten times as much as another runtime's.
    """
    features = llvm.get_host_cpu_features()
    return _target(llvm.get_process_triple(), llvm.get_host_cpu_name(), features.flatten(), dict(features))


def named(cpu: str) -> Target:
    """An x86-64 processor by LLVM's name, for tests that run the code of other processors on this one.

    Raises:
        ValueError: if it is not one of those that are known here.
    """
    known = {"haswell": "avx2", "x86-64-v3": "avx2", "skylake-avx512": "avx512", "znver4": "avx512"}
    if cpu not in known:
        raise ValueError(f"{cpu} is not one of {', '.join(known)}")
    return Target(llvm.get_process_triple(), cpu, "", *_REGISTERS[known[cpu]])


def _target(triple: str, cpu: str, features: str, has: dict[str, bool]) -> Target | None:
    if has.get("avx512f"):
        return Target(triple, cpu, features, *_REGISTERS["avx512"])
    if has.get("avx2") and has.get("fma"):
        return Target(triple, cpu, features, *_REGISTERS["avx2"])
    if has.get("neon") or triple.startswith(("aarch64", "arm64")):  # every 64-bit ARM processor has NEON, and its fma
        return Target(triple, cpu, features, *_REGISTERS["neon"])
    return None
