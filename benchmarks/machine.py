"""The machine: what it is, what it can do at most, what a process used of it."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from pathlib import Path
from typing import Any, Callable

import numpy
import recbole
import scipy
import torch


def describe() -> dict[str, Any]:
    """Hardware, versions and load, as plain data."""
    return {
        "processor": _processor(), "cores": os.cpu_count(), "memory_gb": round(_memory(), 1),
        "load": [round(x, 2) for x in os.getloadavg()], "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "python": platform.python_version(), "torch": torch.__version__,
        "numpy": numpy.__version__, "scipy": scipy.__version__, "recbole": recbole.__version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _memory() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def ceilings(quick: bool = False) -> dict[str, dict[str, float]]:
    """Measured limits by number of threads: bytes/s of copying, operations/s of sgemm.

    Copying counts the bytes read and written; the arrays are larger than any cache.
    """
    before = torch.get_num_threads()
    found = {}
    for threads in sorted({1, min(2, os.cpu_count() or 1), before}):
        torch.set_num_threads(threads)
        found[str(threads)] = {"copy": _copy_rate(quick), "sgemm": _sgemm_rate(quick)}
    torch.set_num_threads(before)
    return found


def _copy_rate(quick: bool) -> float:
    source = torch.ones(2**20 if quick else 2**26)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _best(lambda: target.copy_(source), 3 if quick else 9)


def _sgemm_rate(quick: bool) -> float:
    size = 256 if quick else 2048
    left, right = torch.randn(size, size), torch.randn(size, size)
    out = torch.empty(size, size)
    return 2 * size**3 / _best(lambda: torch.mm(left, right, out=out), 3 if quick else 7)


def _best(run: Callable[[], Any], repeats: int) -> float:
    """Seconds of the fastest run: elapsed, or processor time over the threads where that is less
    because other programs were running."""
    seconds = []
    for _ in range(repeats + 1):
        start, cpu = time.perf_counter(), time.process_time()
        run()
        cpu = (time.process_time() - cpu) / torch.get_num_threads()
        seconds.append(min(time.perf_counter() - start, cpu))
    return min(seconds[1:])


def peak_memory() -> float:
    """Largest resident memory of this process since :func:`forget_peak` (if the system has
    it), in bytes."""
    try:
        status = Path("/proc/self/status").read_text()
        return 1024.0 * int(status.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError):
        unit = 1 if sys.platform == "darwin" else 1024
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def forget_peak() -> None:
    """Begin a new peak of :func:`peak_memory`; without effect where the system cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return
