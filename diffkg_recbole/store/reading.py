"""The reading side: one run folder as it lies there, from this machine or another."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, Callable

import pandas as pd
import yaml
from filelock import FileLock, Timeout

from diffkg_recbole.errors import UserError, visible
from diffkg_recbole.plain import canonical_json
from diffkg_recbole.store import tables
from diffkg_recbole.store.epoch_log import read_lines
from diffkg_recbole.store.file_hashes import damage
from diffkg_recbole.store.schema import overgrown, record_problem
from diffkg_recbole.store.writing import FORMAT, SUMMARY_KEYS, lock_path
from diffkg_recbole.text import one_line

STATUSES = ("running", "interrupted", "finished", "failed")
_LARGEST_TEXT, _LARGEST_YAML = 10_000_000, 1_000_000  # bytes; YAML is read slowly
_REQUIRED = ("id", "status", "model", "dataset", "fingerprint")


class CorruptRunError(UserError):
    """A run folder cannot be read.

    Args:
        folder: the run folder.
        reason: what is wrong with it.
    """

    def __init__(self, folder: Path, reason: str) -> None:
        self.folder, self.reason = folder, reason
        super().__init__(visible(f"run folder {folder.name}: {reason}"))


class RunRecord:
    """A read-only view of a run folder.

    Args:
        folder: the run folder.

    Raises:
        CorruptRunError: if ``run.json`` is missing, no JSON, of another format, or incomplete.
            Damage in the other files is raised when they are read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.data: dict[str, Any] = self._read("run.json", json.loads)
        problem = record_problem(self.data) or _problem(self.data)
        if problem:
            raise CorruptRunError(self.folder, f"run.json: {problem}")

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

    def get(self, key: str, default: Any = None) -> Any:
        """A value of ``run.json``."""
        return self.data.get(key, default)

    def __repr__(self) -> str:
        return f"RunRecord({self.folder.name}: {self.label}, seed {self.seed}, {self.status})"

    @property
    def id(self) -> str:
        """The content hash (64 hex digits)."""
        return self.data["id"]

    @property
    def label(self) -> str:
        """The row this run belongs to in tables."""
        return self.data.get("label") or self.model

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.data["model"]

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.data["dataset"]

    @property
    def protocol(self) -> str | None:
        """Evaluation protocol."""
        return self.data.get("protocol")

    @property
    def seed(self) -> int | None:
        """Seed of everything but the split."""
        return self.data.get("seed")

    @cached_property
    def status(self) -> str:
        """One of :data:`STATUSES`; a run nobody works on any more is ``interrupted``."""
        status = self.data["status"]
        return "interrupted" if status == "running" and not self.is_active() else status

    @property
    def finished(self) -> bool:
        """Whether the result stands."""
        return self.data["status"] == "finished"

    @property
    def valid(self) -> dict[str, float]:
        """Validation metrics of the chosen epoch, at full precision."""
        return self.data.get("valid") or {}

    @property
    def test(self) -> dict[str, float]:
        """Test metrics, at full precision."""
        return self.data.get("test") or {}

    @property
    def model_path(self) -> Path:
        """The best checkpoint (the file need not exist)."""
        return self.folder / "model.pth"

    def damage(self) -> str | None:
        """What of the files that a finished run held is not as it was, in words; large files are
        known by their size."""
        return damage(self.folder, self.data.get("files"))

    def matches(self, **wanted: Any) -> bool:
        """Whether the run has these values; a list, tuple or set allows any of its values."""
        for key, value in wanted.items():
            actual = self.label if key == "label" else (
                self.status if key == "status" else self.get(key))
            allowed = value if isinstance(value, (list, tuple, set, frozenset)) else (value,)
            if actual not in allowed:
                return False
        return True

    def is_active(self) -> bool:
        """Whether a live process holds the run."""
        if not lock_path(self.folder).exists():
            return False
        try:
            with FileLock(lock_path(self.folder)).acquire(timeout=0):
                return False
        except Timeout:
            return True
        except OSError:
            return False  # a store that may only be read is not worked on from here

    def epochs(self) -> list[dict[str, Any]]:
        """One row per epoch, in order; empty before the first."""
        path = self.folder / "epochs.jsonl"
        if not path.exists():
            return []
        self._check_file("epochs.jsonl")
        try:
            return read_lines(path)
        except (OSError, ValueError, RecursionError) as error:
            raise CorruptRunError(self.folder, f"epochs.jsonl: {error}") from error

    def config(self) -> dict[str, Any]:
        """The resolved configuration."""
        return self._read("config.yaml", yaml.safe_load, _LARGEST_YAML)

    def audit(self) -> dict[str, Any]:
        """The data audit."""
        return self._read("audit.json", json.loads)

    def users(self) -> pd.DataFrame:
        """``user``, ``n_train`` and a float64 column per metric; a row per test user."""
        return self._table("users.parquet")

    def pairs(self) -> pd.DataFrame:
        """``user``, ``item``, ``rank`` (1-based, 0 = beyond the list), ``item_popularity``,
        ``item_triples``; a row per test pair."""
        return self._table("pairs.parquet")

    def recommendations(self) -> pd.DataFrame:
        """``user`` and ``items`` (tokens, best first)."""
        return self._table("recommendations.parquet")

    def _read(
        self, name: str, parse: Callable[[str], Any], most: int = _LARGEST_TEXT
    ) -> dict[str, Any]:
        self._check_file(name, most)
        try:
            value = parse((self.folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CorruptRunError(self.folder, f"{name} is missing") from None
        except Exception as error:  # PyYAML's constructors raise anything on a wrong text
            first_line = one_line((str(error) or type(error).__name__).splitlines()[0])
            raise CorruptRunError(self.folder, f"{name} cannot be read: {first_line}") from error
        if not isinstance(value, dict):
            raise CorruptRunError(self.folder, f"{name} holds no mapping")
        too_large = overgrown(value)  # a few aliases stand for any number of values
        if too_large:
            raise CorruptRunError(self.folder, f"{name} {too_large}")
        try:
            canonical_json(value)
        except TypeError as error:  # a date, for one
            raise CorruptRunError(self.folder, f"{name}: {one_line(error)[:200]}") from None
        return value

    def _check_file(self, name: str, most: int | None = None) -> None:
        """A pipe would hang whoever opens it; a huge text is none of ours."""
        path = self.folder / name
        if path.exists() and not path.is_file():
            raise CorruptRunError(self.folder, f"{name} is no regular file")
        if most is not None and path.exists() and path.stat().st_size > most:
            raise CorruptRunError(self.folder, f"{name} has more than {most:,} bytes")

    def _table(self, name: str) -> pd.DataFrame:
        self._check_file(name)
        try:
            return tables.read_table(self.folder / name)
        except FileNotFoundError:
            raise CorruptRunError(self.folder, f"{name} is missing") from None
        except Exception as error:  # pyarrow and pandas refuse a damaged table in any way
            raise CorruptRunError(self.folder,
                                  f"{name} cannot be read: {one_line(error)[:300]}") from error


def _problem(data: dict[str, Any]) -> str | None:
    """What keeps ``data`` from being a run record, in words."""
    if data.get("format") != FORMAT:
        return f"has format {data.get('format')!r}, expected {FORMAT}"
    missing = [key for key in _REQUIRED if data.get(key) is None]
    if data.get("status") == "finished":
        missing += [key for key in SUMMARY_KEYS if key not in data]
    if missing:
        return f"lacks {', '.join(missing)}"
    if data["status"] not in STATUSES:
        return f"has the unknown status {data['status']!r}"
    return None
