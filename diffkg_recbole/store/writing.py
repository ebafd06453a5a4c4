"""The writing side: one run folder, from its start to its result."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import shutil
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd
from filelock import BaseFileLock, FileLock, Timeout

from diffkg_recbole.errors import UserError
from diffkg_recbole.files import remove_parts, replacing, write_json, write_yaml
from diffkg_recbole.plain import plain
from diffkg_recbole.store import tables
from diffkg_recbole.store.epoch_log import EpochLog, read_lines
from diffkg_recbole.store.file_hashes import damage, hashes
from diffkg_recbole.store.schema import record_problem
from diffkg_recbole.text import one_line

FORMAT = 1
SUMMARY_KEYS = ("epoch", "epochs_run", "valid", "test", "cost")
_CHANGING = ("run.json", "last.pth", "train.log")
_log = logging.getLogger(__name__)


class RunBusyError(UserError):
    """Another live process works on the run."""


def lock_path(folder: Path) -> Path:
    """Lock file of a run folder.

    The operating system holds the lock and lets go when the process ends in any way, so none
    outlives its owner. The file lies beside the run folders, which hold results only.
    """
    return folder.parent / ".locks" / f"{folder.name}.lock"


def fresh_path(folder: Path) -> Path:
    """Where the successor of a run folder grows until it is finished."""
    return folder.with_name(f".{folder.name}.fresh")


def old_path(folder: Path) -> Path:
    """Where a run folder waits for a moment while its successor takes its name."""
    return folder.with_name(f".{folder.name}.old")


def complete_swap(folder: Path) -> None:
    """Put the finished successor of a run in its place, or end what a kill left half done.

    The caller holds the lock. If both folders have left their places the successor goes on.
    """
    fresh, old = fresh_path(folder), old_path(folder)
    if _is_finished(fresh):
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.replace(old)
        fresh.replace(folder)
    elif old.exists() and not folder.exists():
        old.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def _is_finished(folder: Path) -> bool:
    return folder.exists() and _read_record(folder).get("status") == "finished"


class Run:
    """A run folder held for writing; made by :meth:`RunStore.open`.

    Every file is replaced atomically and ``run.json`` is written last, so at any moment the
    folder holds a valid state: running with what is there so far, failed, or finished. A
    finished run cannot be written to. Use it as a context manager: an exception marks the run
    failed, an interrupt leaves it to be resumed, and the lock is released in any case.

    Args:
        folder: the run folder.
        record: what ``run.json`` says beside status and times; an existing file is updated.
        fresh: make the run anew in a hidden folder, which takes the place of ``folder`` when it
            is finished. One that was interrupted goes on.
    """

    def __init__(self, folder: Path, record: Mapping[str, Any], *, fresh: bool = False) -> None:
        self._place = folder
        self.folder = fresh_path(folder) if fresh else folder
        folder = self.folder
        self._lock: BaseFileLock | None = None
        self.record = _read_record(folder)
        if self.finished and not fresh:
            with contextlib.suppress(OSError):  # left by a kill; the store may be read-only
                self.resume_path.unlink(missing_ok=True)
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._hold()
        try:
            self._start(record)
        except BaseException:
            self.close()
            raise

    def _hold(self) -> None:
        path = lock_path(self._place)
        path.parent.mkdir(exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=1)  # a listing may hold it for a moment
        except Timeout:
            owner = self.record.get("process") or {}
            raise RunBusyError(
                f"run {self._place.name} is being worked on by process {owner.get('pid', '?')} "
                f"on {owner.get('host', 'this machine')}; wait for it or stop it") from None
        self._lock = lock

    def _start(self, record: Mapping[str, Any]) -> None:
        self.record = _read_record(self.folder)  # may have changed before the lock was held
        if self.finished:
            if self.folder != self._place:  # killed before it took its place
                self._take_place()
            self.close()
            return
        remove_parts(self.folder)
        (self.folder / "error.txt").unlink(missing_ok=True)
        try:
            self._epochs = EpochLog(self.folder / "epochs.jsonl")
        except ValueError as error:
            self.start_over(f"epochs.jsonl is damaged ({error})")
        self.record = {
            **self.record, **plain(record), "format": FORMAT, "status": "running", "error": None,
            "started": self.record.get("started") or _now(), "finished": None,
            "process": {"pid": os.getpid(), "host": platform.node()},
        }
        self.record.setdefault("command", list(sys.argv))
        self._write_record()

    @property
    def id(self) -> str:
        """The content hash that names the run."""
        return self.record["id"]

    @property
    def finished(self) -> bool:
        """Whether the result stands: nothing to run, nothing may be written."""
        return self.record.get("status") == "finished"

    @property
    def model_path(self) -> Path:
        """Where the best checkpoint belongs; write it with :meth:`replacing`."""
        return self.folder / "model.pth"

    @property
    def resume_path(self) -> Path:
        """Where the state to resume from belongs; removed when the run finishes."""
        return self.folder / "last.pth"

    @property
    def replaces_result(self) -> bool:
        """Whether a finished result stands until this run takes its place."""
        return self.folder != self._place and self._place.exists()

    def start_over(self, reason: str) -> None:
        """Forget the epochs and the state to resume from, with a warning that says why."""
        _log.warning("run %s starts over: %s", self._place.name, reason)
        self.resume_path.unlink(missing_ok=True)  # first: without it nothing is resumed
        for name in ("epochs.jsonl", "model.pth"):
            (self.folder / name).unlink(missing_ok=True)
        self._epochs = EpochLog(self.folder / "epochs.jsonl")

    def damage(self) -> str | None:
        """What a finished run lacks of what it held when it finished, in words; large
        files by their size."""
        missing = [key for key in SUMMARY_KEYS if key not in self.record]
        if missing:
            return f"run.json lacks {', '.join(missing)}"
        return damage(self.folder, self.record.get("files"))

    def epochs(self) -> list[dict[str, Any]]:
        """The epochs recorded so far."""
        log = self.folder / "epochs.jsonl"
        return read_lines(log) if log.exists() else []

    @contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """Write the file ``name`` of the folder atomically: yields the path to write to."""
        self._check_writable()
        with replacing(self.folder / name) as part:
            yield part

    def write_config(self, configuration: Mapping[str, Any]) -> None:
        """Write the resolved configuration as ``config.yaml``."""
        self._check_writable()
        write_yaml(self.folder / "config.yaml", configuration)

    def write_audit(self, audit: Mapping[str, Any]) -> None:
        """Write the data audit as ``audit.json``."""
        self._check_writable()
        write_json(self.folder / "audit.json", audit)

    def append_epoch(self, row: Mapping[str, Any]) -> None:
        """Add the row of one epoch; rows of this and later epochs (before a resume) go."""
        self._check_writable()
        self._epochs.append(row)

    def finish(
        self,
        summary: Mapping[str, Any],
        *,
        users: pd.DataFrame | None = None,
        pairs: pd.DataFrame | None = None,
        recommendations: pd.DataFrame | None = None,
    ) -> None:
        """Store the result; the run counts as finished once everything else is on the disk.

        Args:
            summary: ``epoch``, ``epochs_run``, ``valid``, ``test``, ``cost``, and any further
                key of ``run.json``.
            users: columns ``user``, ``n_train`` and one per metric; a row per test user.
            pairs: columns of :data:`tables.PAIRS`; a row per test pair.
            recommendations: columns ``user`` and ``items`` (list of tokens, best first).
        """
        self._check_writable()
        missing = [key for key in SUMMARY_KEYS if key not in summary]
        if missing:
            raise ValueError(f"the summary of a finished run lacks {missing}")
        self._write_tables(users, pairs, recommendations)
        self.record.update(plain(summary))
        self._end("finished", None)
        self.resume_path.unlink(missing_ok=True)
        if self.folder != self._place:
            self._take_place()
        self.close()

    def attach(self, label: str | None = None, **frames: pd.DataFrame) -> None:
        """Change what is attached to a finished run: its label, the tables of :meth:`finish`.

        Raises:
            RunBusyError: another process works on it.
        """
        self._hold()
        try:
            self.record = _read_record(self.folder)
            if frames:
                self._write_tables(**frames)
            if label is not None:
                self.record["label"] = label
            self._write_record()
        finally:
            self.close()

    def _write_tables(
        self, users: pd.DataFrame | None = None, pairs: pd.DataFrame | None = None,
        recommendations: pd.DataFrame | None = None,
    ) -> None:
        """Write the tables, and note what the finished folder holds."""
        if users is not None:
            tables.write_table(self.folder / "users.parquet", users, tables.users_schema(users))
        if pairs is not None:
            tables.write_table(self.folder / "pairs.parquet", pairs, tables.PAIRS)
        if recommendations is not None:
            tables.write_table(self.folder / "recommendations.parquet", recommendations,
                               tables.RECOMMENDATIONS)
        kept = (path for path in self.folder.iterdir() if path.name not in _CHANGING)
        self.record["files"] = hashes(kept)

    def _take_place(self) -> None:
        complete_swap(self._place)
        self.folder = self._place

    def fail(self, error: BaseException | str) -> None:
        """Mark the run failed; it may be opened again, and then goes on where it stood."""
        self._check_writable()
        if isinstance(error, BaseException):
            text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            with self.replacing("error.txt") as part:
                part.write_text(text, encoding="utf-8", errors="backslashreplace")
            error = f"{type(error).__name__}: {error}"
        self._end("failed", error)
        self.close()

    def close(self) -> None:
        """Let go of the folder; a run that is not finished can be resumed."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if isinstance(error, Exception) and self._lock is not None:
                with suppress(OSError):  # a full disk; the error at hand says so
                    self.fail(error)
        finally:
            self.close()

    def _end(self, status: str, error: str | None) -> None:
        self.record.update(status=status, error=error, finished=_now(), process=None)
        self._write_record()

    def _check_writable(self) -> None:
        if self._lock is None:
            state = "finished" if self.finished else "closed"
            raise RuntimeError(f"run {self.folder.name} is {state} and cannot be written to")

    def _write_record(self) -> None:
        write_json(self.folder / "run.json", self.record)


def _read_record(folder: Path) -> dict[str, Any]:
    """What ``run.json`` says; empty where there is none yet."""
    path = folder / "run.json"
    if not path.exists():
        return {}
    try:
        if not path.is_file():
            raise ValueError("no regular file")
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({one_line(error)}); remove the folder "
                        "to run it again") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UserError(f"{path} is not a run record of format {FORMAT}; remove the folder to run "
                        "it again")
    problem = record_problem(record) or next(
        (f"lacks '{key}'" for key in ("id", "status") if key not in record), None)
    if problem:
        raise UserError(f"{path}: {problem}; remove the folder to run it again")
    return record


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
