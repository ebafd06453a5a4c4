"""``epochs.jsonl``: a line an epoch, which a kill cannot tear."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diffkg_recbole.files import append_whole, json_text, replacing
from diffkg_recbole.plain import plain
from diffkg_recbole.store.schema import is_a

_NUMBERS = ("losses", "valid", "seconds")


class EpochLog:
    """One JSON line per epoch. A line torn by a kill is dropped when the log is opened.

    Args:
        path: the ``.jsonl`` file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last = -1
        if path.exists():
            rows = read_lines(path)
            if path.read_bytes() != _encode(rows):
                self._rewrite(rows)
            self._last = rows[-1]["epoch"] if rows else -1

    def append(self, row: Mapping[str, Any]) -> None:
        """Add the row of one epoch; rows of this and later epochs, from before a resume, go.

        Args:
            row: must have ``"epoch"``, counted from 0.
        """
        row = plain(row)
        if not isinstance(row.get("epoch"), int) or row["epoch"] < 0:
            raise ValueError(f"an epoch row needs 'epoch' >= 0, got {row.get('epoch')!r}")
        if row["epoch"] <= self._last:
            kept = [old for old in read_lines(self.path) if old["epoch"] < row["epoch"]]
            self._rewrite([*kept, row])
        else:
            append_whole(self.path, _encode([row]))
        self._last = row["epoch"]

    def _rewrite(self, rows: Sequence[Mapping[str, Any]]) -> None:
        with replacing(self.path) as part:
            part.write_bytes(_encode(rows))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The complete rows of an epoch log; a torn last line does not count.

    Raises:
        ValueError: if a line other than the last is no JSON object with an ``"epoch"``, or the
            log is no file (a pipe would hang).
    """
    if not path.is_file():
        raise ValueError("is no regular file")
    lines = path.read_bytes().split(b"\n")
    rows = []
    for number, line in enumerate(lines[:-1], start=1):  # the last piece has no line end: torn
        try:
            row = json.loads(line)
            if not _is_row(row):
                raise TypeError
        except (ValueError, KeyError, TypeError, RecursionError):
            if number == len(lines) - 1:
                break  # a power cut can leave the length without the bytes
            raise ValueError(f"line {number} is not the JSON row of an epoch") from None
        rows.append(row)
    return rows


def _is_row(row: Any) -> bool:
    """Whether what counts and compares epochs can do so with a row."""
    return is_a(row["epoch"], int) and row["epoch"] >= 0 and all(
        isinstance(row.get(part) or {}, dict) for part in ("losses", "valid", "seconds", "graph")
    ) and all(value is None or isinstance(value, (int, float)) for part in _NUMBERS
              for value in (row.get(part) or {}).values())


def _encode(rows: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(json_text(row).encode() + b"\n" for row in rows)
