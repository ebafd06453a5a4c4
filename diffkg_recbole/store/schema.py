"""What ``run.json`` may hold: types, finite numbers, bounds of size and depth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice
from typing import Any

from diffkg_recbole import errors
from diffkg_recbole.text import one_line

_TEXT, _WHOLE, _YES_NO, _MAP, _LIST = str, int, bool, Mapping, list
_TYPES: dict[str, type] = {
    **dict.fromkeys(("id", "status", "model", "dataset", "label", "protocol", "kg", "variant",
                     "error", "evaluation", "started", "finished", "device"), _TEXT),
    **dict.fromkeys(("seed", "split_seed", "epoch", "epochs_run"), _WHOLE),
    **dict.fromkeys(("test_selected", "reads_graph"), _YES_NO),
    **dict.fromkeys(("fingerprint", "test", "valid", "cost", "versions", "hardware", "code",
                     "data_files", "files", "process"), _MAP),
    "command": _LIST,
}
_TYPE_NAMES = {_TEXT: "text", _WHOLE: "a whole number", _YES_NO: "true or false",
               _MAP: "a mapping", _LIST: "a list"}
_DEEPEST = 30  # levels of nesting; a run writes four
_LARGEST = 100_000  # values in one file of plain data; a run writes some hundred
_LONGEST = 500  # letters of a name in a table


def record_problem(data: Mapping[str, Any]) -> str | None:
    """What is wrong with the values of a ``run.json``, in words; None if nothing is."""
    for key, expected in _TYPES.items():
        value = data.get(key)
        if value is not None and not is_a(value, expected):
            return f"'{key}' is {shown(value)}, expected {_TYPE_NAMES[expected]}"
        if isinstance(value, str) and key != "error" and len(value) > _LONGEST:
            return f"'{key}' has {len(value)} letters, at most {_LONGEST} are shown"
    too_large = overgrown(data)
    if too_large:
        return too_large
    for name in ("id", "model", "dataset"):
        if name in data and not data[name]:
            return f"'{name}' is empty"
    fingerprint = data.get("fingerprint") or {}
    counts = fingerprint.get("counts")
    if counts is not None and not (isinstance(counts, Mapping)
                                   and all(is_a(one, _WHOLE) for one in counts.values())):
        return "'fingerprint: counts' is no mapping of whole numbers"
    for name, value in fingerprint.items():
        if name != "counts" and value is not None and not isinstance(value, str):
            return f"'fingerprint: {name}' is {shown(value)}, expected text"
    for name, was in (data.get("files") or {}).items():
        if not (isinstance(was, Mapping) and is_a(was.get("bytes"), _WHOLE)
                and isinstance(was.get("sha256"), str)):
            return f"'files: {shown(name)}' is {shown(was)}, expected 'bytes' and 'sha256'"
    for part, optional in (("test", False), ("valid", False), ("cost", True)):
        for name, value in (data.get(part) or {}).items():
            if not (optional and value is None) and not is_finite(value):
                return f"'{part}: {name}' is {shown(value)}, expected a finite number"
    return None


def is_a(value: Any, expected: type) -> bool:
    """A bool is no number here."""
    return isinstance(value, expected) and (expected is bool or not isinstance(value, bool))


def is_finite(value: Any) -> bool:
    """Whether a value is a number that can be computed with."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def overgrown(value: Any) -> str | None:
    """Whether plain data are deeper or larger than a report can show; aliases count as copies."""
    layer, seen = [value], 0
    for _ in range(_DEEPEST):
        inner = (item for one in layer if isinstance(one, (Mapping, list))
                 for item in (one.values() if isinstance(one, Mapping) else one))
        layer = list(islice(inner, _LARGEST))
        seen += len(layer)
        if not layer:
            return None
        if seen >= _LARGEST:
            return f"holds more than {_LARGEST:,} values"
    return f"is nested more than {_DEEPEST} levels deep"


def shown(value: Any) -> str:
    """A value in a report about a file: one line, cut where it is long."""
    return one_line(errors.shown(value, most=60))
