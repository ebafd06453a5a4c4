"""Processes of this machine: their cores, and how they are told to stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

GRACE_SECONDS = 20.0
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_environment(jobs: int) -> dict[str, str]:
    """Environment variables of each of ``jobs`` processes that share the cores.

    ``OMP_NUM_THREADS`` of the user is an upper bound. Threads that wait give their core away,
    as others have work for it, unless the user says otherwise.
    """
    threads = max(1, available_cores() // jobs)
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list nests
    if wanted.isdigit() and int(wanted) > 0:
        threads = min(threads, int(wanted))
    waiting = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
    return {**dict.fromkeys(THREAD_VARIABLES, str(threads)), "OMP_WAIT_POLICY": waiting}


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the processes that the block starts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def watch_parent() -> None:
    """Interrupt this process when its standard input ends, that is, when its parent is gone.

    A parent that is killed can tell its children nothing, but the system closes its pipes.
    An interrupt is heeded even where a shell that runs in the background handed it down ignored.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def wait() -> None:
        while os.read(0, 4096):  # not through sys.stdin, whose lock would outlive the program
            pass
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(GRACE_SECONDS)
        os._exit(130)  # the run stands as it was when its last epoch ended

    threading.Thread(target=wait, daemon=True).start()


@contextmanager
def termination_interrupts() -> Iterator[None]:
    """A termination, as clusters send it, ends like Ctrl-C: the same command can go on later."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
