"""The folder of run folders: opens runs for writing, finds them for reading."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from diffkg_recbole.errors import UserError
from diffkg_recbole.store.environment import code_hash
from diffkg_recbole.store.identity import run_id
from diffkg_recbole.store.reading import CorruptRunError, RunRecord
from diffkg_recbole.store.writing import Run, complete_swap, lock_path, old_path

DEFAULT_STORE = "runs"
"""Where runs are kept unless the user names another folder."""

_log = logging.getLogger(__name__)


class Scan(NamedTuple):
    """What lies in a store."""

    records: list[RunRecord]
    corrupt: list[CorruptRunError]


class RunStore:
    """Run folders side by side under ``root``.

    Folders refer to nothing outside themselves: copy them from another machine and they are
    runs of this store.

    Args:
        root: the folder; made when the first run is opened.
    """

    def __init__(self, root: str | Path = DEFAULT_STORE) -> None:
        self.root = Path(root)

    def open(self, identity: Mapping[str, Any], record: Mapping[str, Any]) -> Run:
        """Create or reopen the run that ``identity`` determines.

        Args:
            identity: ``configuration`` (resolved), ``fingerprint`` (hash of the data, or the
                record's mapping with ``"all"``) and, where they are not the usual ones, ``code``
                (:func:`code_hash`) and ``device`` (its kind, ``"cpu"``).
            record: what ``run.json`` shall say: ``model``, ``dataset``, ``fingerprint`` and
                whatever else is known at the start.

        Returns:
            A :class:`Run`; check ``run.finished`` before working. An interrupted or failed run
            keeps its epochs and its ``last.pth``.

        Raises:
            RunBusyError: if a live process works on the same run.
            UserError: if the folder's ``run.json`` cannot be read.
        """
        return self._open(identity, record, fresh=False)

    def _open(self, identity: Mapping[str, Any], record: Mapping[str, Any], fresh: bool) -> Run:
        identifier = run_id(identity["configuration"], identity["fingerprint"],
                            identity.get("code") or code_hash(),
                            identity.get("device", "cpu"))
        folder = self.root / folder_name(record["model"], record["dataset"], identifier)
        _recover(folder)
        run = Run(folder, {**record, "id": identifier}, fresh=fresh)
        if run.id != identifier:
            run.close()
            raise UserError(f"{folder} holds another run ({run.id})")
        return run

    def open_fresh(self, identity: Mapping[str, Any], record: Mapping[str, Any]) -> Run:
        """As :meth:`open`, but the run is made anew, in a hidden folder that takes the place of
        an earlier attempt or result when it is finished. One that was interrupted goes on."""
        return self._open(identity, record, fresh=True)

    def scan(self) -> Scan:
        """Every run under the root, ordered by folder name, and every folder that is none.

        Hidden folders are passed over.

        Raises:
            UserError: if the root is no folder.
        """
        if not self.root.is_dir():
            raise UserError(f"run store {self.root} is not a folder")
        records, corrupt = [], []
        for old in self.root.glob(".*.old"):
            _recover(old.with_name(old.name[1:-len(".old")]))
        for folder in sorted(self.root.iterdir()):
            if not folder.is_dir() or folder.name.startswith("."):
                continue
            try:
                records.append(RunRecord(folder))
            except CorruptRunError as error:
                corrupt.append(error)
        return Scan(records, corrupt)

    def records(self, **wanted: Any) -> list[RunRecord]:
        """The runs whose values equal ``wanted``, e.g. ``records(model="DiffKG", seed=1)``.

        A list, tuple or set allows any of its values; ``status`` may be ``"interrupted"``.
        Corrupt folders are logged as warnings and left out.
        """
        records, corrupt = self.scan()
        for error in corrupt:
            _log.warning("%s", error)
        return [record for record in records if record.matches(**wanted)]

    def find(self, name: str) -> RunRecord:
        """The one run with this id, beginning of an id, or folder name.

        Raises:
            UserError: if there is none or more than one.
            CorruptRunError: if the folder of that name cannot be read.
        """
        records, corrupt = self.scan()
        found = [r for r in records if r.folder.name == name or r.id.startswith(name)]
        broken = [error for error in corrupt if error.folder.name == name]
        if broken:
            raise broken[0]
        if len(found) != 1:
            names = ", ".join(record.folder.name for record in found)
            problem = f"'{name}' is ambiguous: {names}" if found else f"there is no run '{name}'"
            raise UserError(f"{problem} in {self.root}")
        return found[0]


def _recover(folder: Path) -> None:
    """Bring back a run whose replacement was killed between its two moves."""
    if not old_path(folder).exists():
        return
    try:
        with FileLock(lock_path(folder)).acquire(timeout=0):
            complete_swap(folder)
    except (Timeout, OSError, UserError):
        pass  # being replaced just now, a store that may only be read, or one that was damaged


def folder_name(model: str, dataset: str, identifier: str) -> str:
    """``<model>-<dataset>-<first 12 hex digits>``, safe on every file system."""
    return re.sub(r"[^\w.+-]", "_", f"{model}-{dataset}-{identifier[:12]}").lstrip(".")
