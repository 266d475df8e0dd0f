"""What code is compiled for: a processor, its instructions and its vector registers."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import llvmlite
import llvmlite.binding as llvm

from pipeline.errors import ConfigError

# Lanes, rows, vectors. Measured with the products of HiFi-GAN's convolutions: `rows` times `vectors` registers are
# accumulators, and enough are left for a row of the second factor and a broadcast value of the first.
_REGISTERS = {"avx512": (16, 12, 2), "avx2": (8, 6, 2), "neon": (4, 8, 2), "sse2": (4, 4, 2)}
_KNOWN = {
    "haswell": ("avx2", ("avx2", "fma")),
    "x86-64-v3": ("avx2", ("avx2", "fma")),
    "skylake-avx512": ("avx512", ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "fma")),
    "znver4": ("avx512", ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512bf16", "fma")),
    "x86-64": ("sse2", ()),
}
"""x86-64 processor by LLVM's name -> its kind of registers, and the instructions that its kernels may use."""


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
        slow: whether it has no fused multiply-add, which is emulated: the same bits, at a fraction of the speed.
    """

    triple: str
    cpu: str
    features: str
    lanes: int
    rows: int
    vectors: int
    slow: bool = False

    @property
    def name(self) -> str:
        """The target in one line, for people."""
        return f"{self.cpu} ({32 * self.lanes}-bit vectors{', no fused multiply-add' if self.slow else ''})"

    @property
    def bfloat16(self) -> bool:
        """Whether it has products of bfloat16 (AVX512_BF16) on its vectors."""
        if self.features:
            return self.lanes == 16 and "+avx512bf16" in self.features.split(",")
        return self.cpu in _KNOWN and "avx512bf16" in _KNOWN[self.cpu][1]


@cache
def host() -> Target | None:
    """This machine; None if it has neither x86-64's nor 64-bit ARM's instructions."""
    features = llvm.get_host_cpu_features()
    return _target(llvm.get_process_triple(), llvm.get_host_cpu_name(), features.flatten(), dict(features))


def named(cpu: str) -> Target:
    """An x86-64 processor by LLVM's name, so that this machine runs the code of other processors.

    Raises:
        ValueError: if it is not one of those that are known here.
    """
    if cpu not in _KNOWN:
        raise ValueError(f"{cpu} is not one of {', '.join(_KNOWN)}")
    kind, _ = _KNOWN[cpu]
    return Target(llvm.get_process_triple(), cpu, "", *_REGISTERS[kind], slow=kind == "sse2")


def available() -> Target | str:
    """What kernels are compiled for in this process, or the reason why none can be.

    That is this machine, or the processor that `$MELMILL_KERNELS` names; "off" there means that there are none.

    Raises:
        ConfigError: if `$MELMILL_KERNELS` is not "off" or a processor whose code this machine can run.
    """
    chosen = os.environ.get("MELMILL_KERNELS", "")
    if chosen == "off":
        return "MELMILL_KERNELS is off"
    target = _chosen(chosen) if chosen else host()
    if target is None:
        return f"there are no kernels for this kind of processor ({platform.machine()})"
    return _forbidden() or target


def required(what: str) -> Target:
    """What kernels are compiled for in this process, for work that has no other way.

    Args:
        what: name of the work, such as a vocoder's.

    Raises:
        ConfigError: if there can be no kernels, or as `available`.
    """
    found = available()
    if isinstance(found, str):
        raise ConfigError(
            f"{what} is compiled when it is used, which is not possible here: {found}. "
            "Nets in onnxruntime, such as hifigan-universal, run without it."
        )
    return found


def processor() -> str:
    """LLVM's name of this machine's processor."""
    return str(llvm.get_host_cpu_name())


def compiler_versions() -> dict[str, str]:
    """The versions of llvmlite and of LLVM."""
    return {"llvmlite": llvmlite.__version__, "llvm": ".".join(map(str, llvm.llvm_version_info))}


def _chosen(cpu: str) -> Target:
    if cpu not in _KNOWN:
        raise ConfigError(f"MELMILL_KERNELS: {cpu!r} is not one of off, {', '.join(_KNOWN)}")
    has = dict(llvm.get_host_cpu_features())
    lacking = [each for each in _KNOWN[cpu][1] if not has.get(each)]
    if platform.machine() not in ("x86_64", "AMD64") or lacking:
        raise ConfigError(
            f"MELMILL_KERNELS: this processor, {processor()}, cannot run code for {cpu}"
            + (f", which has {', '.join(lacking)}" if lacking else "")
        )
    return named(cpu)


@cache
def _forbidden() -> str:
    """The reason why this system lets no process run code that it made itself; "" if it does.

    Some systems do not let memory that was written become executable: SELinux without `execmem`, a sandbox with a
    filter of system calls, systemd's MemoryDenyWriteExecute.
    """
    try:
        llvm.check_jit_execution()
    except OSError as error:
        return f"this system lets no process run code that it has compiled itself ({os.strerror(error.errno or 0)})"
    return ""


def _target(triple: str, cpu: str, features: str, has: Mapping[str, bool]) -> Target | None:
    if has.get("avx512f"):
        return Target(triple, cpu, features, *_REGISTERS["avx512"])
    if has.get("avx2") and has.get("fma"):
        return Target(triple, cpu, features, *_REGISTERS["avx2"])
    if triple.startswith(("aarch64", "arm64")):  # every 64-bit ARM processor has NEON, and its fma
        return Target(triple, cpu, features, *_REGISTERS["neon"])
    if triple.startswith("x86_64"):
        return Target(triple, "x86-64", "", *_REGISTERS["sse2"], slow=True)
    return None
