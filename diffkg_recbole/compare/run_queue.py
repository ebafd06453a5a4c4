"""Runs what a plan leaves open, several at once, whatever happens to one of them."""

from __future__ import annotations

import glob
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from diffkg_recbole.compare.jobs import Job, Launcher
from diffkg_recbole.compare.planned import PlannedRun
from diffkg_recbole.store import CorruptRunError, RunRecord, RunStore, folder_name

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Args:
        run: the run.
        record: its folder, None if there is none.
        error: None if it is finished.
        seconds: how long it took here.
    """

    run: PlannedRun
    record: RunRecord | None
    error: str | None
    seconds: float


@dataclass
class Active:
    """A run at work.

    Args:
        job: the job.
        started: ``time.monotonic()`` of its start.
        folder: its run folder, once it has one.
    """

    job: Job
    slot: int
    started: float = field(default_factory=time.monotonic)
    folder: Path | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    _size: int = -1

    @property
    def run(self) -> PlannedRun:
        """What runs."""
        return self.job.run

    def refresh(self, store: RunStore) -> None:
        """Read what the run has written so far."""
        if self.folder is None:
            record = find_record(self.run, store)
            self.folder = record.folder if record else None
        if self.folder is None:
            return
        try:
            size = (self.folder / "epochs.jsonl").stat().st_size
            if size != self._size:
                self.rows, self._size = RunRecord(self.folder).epochs(), size
        except (CorruptRunError, OSError):
            pass  # being written for the first time


class View(Protocol):
    """Shows what happens."""

    def show(self, active: Sequence[Active], waiting: int) -> None:
        """Called about twice a second."""

    def started(self, run: PlannedRun) -> None:
        """A run was started."""

    def ended(self, outcome: Outcome) -> None:
        """A run finished or failed."""


def find_record(
    run: PlannedRun, store: RunStore, same_files: bool = True
) -> RunRecord | None:
    """The folder of a run, or None; a finished one where there are several."""
    found = None
    prefix = glob.escape(folder_name(run.model, run.dataset, ""))
    for folder in store.root.glob(f"{prefix}*/run.json"):
        try:
            record = RunRecord(folder.parent)
        except CorruptRunError:
            continue
        if run.is_recorded_in(record, same_files) and (found is None or record.finished):
            found = record
    return found


def execute(
    runs: Sequence[PlannedRun], store: RunStore, launcher: Launcher, jobs: int, view: View
) -> list[Outcome]:
    """Do ``runs`` in order, ``jobs`` at once; a failed run does not stop the others.

    Raises:
        KeyboardInterrupt: after every run that was at work has stopped; each goes on from its
            last epoch when it is started again.
    """
    waiting = deque(runs)
    active: list[Active] = []
    outcomes: list[Outcome] = []
    try:
        while waiting or active:
            while waiting and len(active) < jobs:
                slot = min(set(range(jobs)) - {one.slot for one in active})
                run = waiting.popleft()
                active.append(Active(launcher.start(run, slot), slot))
                view.started(run)
            for one in list(active):
                one.refresh(store)
                status = one.job.poll()
                if status is not None:
                    active.remove(one)
                    outcomes.append(_outcome(one, status, store))
                    view.ended(outcomes[-1])
            view.show(active, len(waiting))
            if active:
                time.sleep(POLL_SECONDS)
    except BaseException:
        for one in active:
            one.job.stop()
        for one in active:
            one.job.wait_stopped()
        raise
    return outcomes


def _outcome(one: Active, status: int, store: RunStore) -> Outcome:
    """Finished is what the store says is finished; the exit status alone is not believed."""
    record = find_record(one.run, store)
    if record is None and status == 0:  # finished before, on other files with the same pairs
        record = find_record(one.run, store, same_files=False)
    seconds = time.monotonic() - one.started
    if record is not None and record.finished:
        return Outcome(one.run, record, None, seconds)
    if status == 0:
        error = f"the run ended well, but {store.root} has no finished run of it"
    elif record is not None and record["status"] == "failed" and _is_newer(record, seconds):
        error = record["error"]
    else:
        error = one.job.error()
    return Outcome(one.run, record, error, seconds)


def _is_newer(record: RunRecord, seconds: float) -> bool:
    """Whether the record was written in the last seconds, not by an earlier attempt."""
    return time.time() - (record.folder / "run.json").stat().st_mtime < seconds + 1
