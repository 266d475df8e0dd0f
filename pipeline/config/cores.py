"""Number of cores that this process may use."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path


def usable_cores(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Number of cores that this process may use: its affinity, or the quota of its control group, rounded up.

    It is `dask.system.cpu_count`, without the import of Dask.

    Args:
        groups: folder of the kernel's control groups, of version 2 (`cpu.max`) or 1.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    first = [groups / name / "cpu.cfs_quota_us" for name in ("cpuacct,cpu", "cpu,cpuacct")]
    for files in ((groups / "cpu.max",), *((each, each.with_name("cpu.cfs_period_us")) for each in first)):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number
            quota, period = map(int, " ".join(each.read_text() for each in files).split())
            if quota > 0 and period > 0:
                cores = min(cores, math.ceil(quota / period))
    return cores
