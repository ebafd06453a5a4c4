"""Runs as processes of this machine: started, watched, stopped."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Protocol

from diffkg_recbole.compare.planned import PlannedRun
from diffkg_recbole.processes import worker_environment

STOP_SECONDS = 30.0


class Job(Protocol):
    """A run that was started."""

    run: PlannedRun

    def poll(self) -> int | None:
        """Exit status, None while it works."""

    def stop(self) -> None:
        """Ask it to end; it can be resumed later."""

    def wait_stopped(self) -> None:
        """Return when it has ended, if need be by force."""

    def error(self) -> str:
        """What it said last, for a run that failed."""


class Launcher(Protocol):
    """Starts runs somewhere."""

    def start(self, run: PlannedRun, slot: int) -> Job:
        """Start a run in one of the places 0..jobs-1."""


class LocalLauncher:
    """Starts each run in a process of this machine.

    Args:
        store: folder of run folders.
        jobs: how many run at once; the cores are divided among them.
        gpus: number of GPUs, given to the slots in turn.
    """

    def __init__(self, store: Path, jobs: int, gpus: int = 0) -> None:
        self.store, self.gpus = store, gpus
        self.environment = worker_environment(jobs)

    def start(self, run: PlannedRun, slot: int) -> LocalJob:
        """Start a run; its output goes to ``<store>/.logs``."""
        flags = [*run.flags, f"--store={self.store}", "--show_progress=False"]
        if self.gpus > 1:
            flags.append(f"--gpu_id={slot % self.gpus}")
        environment = dict(os.environ, PYTHONUNBUFFERED="1", COLUMNS="120", **self.environment)
        log = log_path(self.store, run)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "diffkg_recbole.compare.worker", "--watch", *flags],
                stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=environment,
                start_new_session=True,  # Ctrl-C reaches us alone, and we tell it
            )
        return LocalJob(run, process, log)


class LocalJob:
    """A run in a process of this machine."""

    def __init__(self, run: PlannedRun, process: subprocess.Popen, log: Path) -> None:
        self.run, self.process, self.log = run, process, log

    def poll(self) -> int | None:
        """Exit status, None while it works."""
        status = self.process.poll()
        if status is not None:
            self._close()
        return status

    def stop(self) -> None:
        """Interrupt it, as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)

    def wait_stopped(self) -> None:
        """Wait for it; after :data:`STOP_SECONDS` kill it, which loses the current epoch only."""
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._close()

    def error(self) -> str:
        """The last thing it said, or the signal that ended it."""
        status = self.process.returncode
        if status is not None and status < 0:
            name = signal.Signals(-status).name
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            return f"ended by {name}{hint}; see {self.log}"
        return last_words(self.log.read_text(encoding="utf-8", errors="replace"),
                          f"exit status {status}; see {self.log}")

    def _close(self) -> None:
        if self.process.stdin is not None:
            close_quietly(self.process.stdin)


def close_quietly(pipe: IO[bytes]) -> None:
    """Close a pipe whose other end may be gone."""
    with contextlib.suppress(OSError):
        pipe.close()


def log_path(store: Path, run: PlannedRun) -> Path:
    """Where the output of a run goes."""
    name = f"{run.dataset}-{run.label}-split{run.split_seed}-seed{run.seed}"
    return store / ".logs" / (re.sub(r"[^\w.+-]+", "_", name) + ".log")


def last_words(text: str, otherwise: str) -> str:
    """The ``error: ...`` line of a command, or the last line of a traceback."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in text.splitlines()]
    said = [line for line in lines if line]
    errors = [line[len("error: "):] for line in said if line.startswith("error: ")]
    return (errors or said or [otherwise])[-1]
