"""Measurements that need a process of their own, because of the memory they take.

A child prints one JSON object per finished stage, so that an interrupted one leaves what it had.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]


def spawn(module: str, arguments: Sequence[str], tell: Callable[[str], None]) -> list[dict]:
    """Run ``python -m module`` in a process of its own and collect its stages.

    Args:
        module: a module whose ``__main__`` part reports stages.
        arguments: its command line.
        tell: told each stage as it is finished.

    Returns:
        the stages; a last one with ``error`` where the process failed.
    """
    command = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    stages: list[dict] = []
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, cwd=_ROOT)
        for line in process.stdout or ():
            if line.startswith("{"):
                stages.append(json.loads(line))
                tell(f"{stages[-1]['stage']}: {stages[-1].get('seconds', 0):.1f} s")
        if process.wait() != 0:
            errors.seek(0)
            last = (errors.read().strip().splitlines() or ["no message"])[-1]
            stages.append({"stage": "failed", "error": f"exit status {process.returncode}: {last}"})
    return stages


@contextmanager
def stage(name: str, **facts: Any) -> Iterator[dict[str, Any]]:
    """Time a block and report it with the peak memory so far; the block may add facts."""
    from benchmarks.machine import peak_memory

    report: dict[str, Any] = {"stage": name, **facts}
    start, cpu = time.perf_counter(), time.process_time()
    yield report
    report.update(seconds=time.perf_counter() - start, cpu=time.process_time() - cpu,
                  peak=peak_memory())
    print(json.dumps(report), flush=True)


def threads_argument(parser: argparse.ArgumentParser) -> None:
    """The option every child shares."""
    parser.add_argument("--threads", type=int, required=True)
