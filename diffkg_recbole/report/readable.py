"""Which runs a report can be made from: the others are named, with what is wrong, and left out.

Everything that a report reads of a run is looked at here, once, so that what computes and draws
need not doubt its numbers. A file that is not there is no damage (a run may keep no per-user
metrics); one that is there and cannot be believed makes the whole run unreadable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from diffkg_recbole.plain import canonical_json
from diffkg_recbole.store import CorruptRunError, RunRecord
from diffkg_recbole.text import one_line

_TEXT, _WHOLE, _YES_NO, _MAP, _LIST = str, int, bool, Mapping, list
_TYPES: dict[str, type] = {
    **dict.fromkeys(("id", "status", "model", "dataset", "label", "protocol", "kg", "variant",
                     "error", "evaluation", "started", "finished"), _TEXT),
    **dict.fromkeys(("seed", "split_seed", "epoch", "epochs_run"), _WHOLE),
    **dict.fromkeys(("test_selected", "reads_graph"), _YES_NO),
    **dict.fromkeys(("fingerprint", "test", "valid", "cost", "versions", "hardware", "code"), _MAP),
    "command": _LIST,
}
_TYPE_NAMES = {_TEXT: "text", _WHOLE: "a whole number", _YES_NO: "true or false",
               _MAP: "a mapping", _LIST: "a list"}
_COUNTED = ("rank", "item_popularity", "item_triples")
_DEEPEST = 30  # levels of nesting; a run writes four
_LARGEST = 100_000  # values in one file of plain data; a run writes some hundred
_LONGEST = 500  # letters of a name in a table


def readable_runs(
    records: Iterable[RunRecord]
) -> tuple[list[RunRecord], list[CorruptRunError]]:
    """Part the runs a report can use from those it cannot.

    Returns:
        the runs without damage, and an error for each of the others.
    """
    good, damaged = [], []
    for record in records:
        try:
            _check(record)
        except CorruptRunError as error:
            damaged.append(error)
        else:
            good.append(record)
    return good, damaged


def _check(record: RunRecord) -> None:
    """Raises CorruptRunError for the first thing that is wrong with a run."""
    problem = _record_problem(record.data)
    if problem:
        raise CorruptRunError(record.folder, f"run.json: {problem}")
    if not record.finished:
        return
    files = {"config.yaml": _config_problem, "audit.json": _audit_problem,
             "epochs.jsonl": _epochs_problem, "users.parquet": _users_problem,
             "pairs.parquet": _pairs_problem}
    for name, find in files.items():
        if name != "config.yaml" and not (record.folder / name).exists():
            continue
        try:
            problem = find(record)
        except CorruptRunError:
            raise
        except Exception as error:  # whatever a decoder of other people makes of damaged bytes
            problem = f"cannot be read: {type(error).__name__}: {error}"
        if problem:
            raise CorruptRunError(record.folder, one_line(f"{name}: {problem}"))


def _record_problem(data: Mapping[str, Any]) -> str | None:
    for key, expected in _TYPES.items():
        value = data.get(key)
        if value is not None and not _is_a(value, expected):
            return f"'{key}' is {_shown(value)}, expected {_TYPE_NAMES[expected]}"
        if isinstance(value, str) and key != "error" and len(value) > _LONGEST:
            return f"'{key}' has {len(value)} letters, at most {_LONGEST} are shown"
    if _overgrown(data):
        return _overgrown(data)
    counts = data["fingerprint"].get("counts")
    if counts is not None and not (isinstance(counts, Mapping)
                                   and all(_is_a(one, _WHOLE) for one in counts.values())):
        return "'fingerprint: counts' is no mapping of whole numbers"
    for name, value in data["fingerprint"].items():
        if name != "counts" and value is not None and not isinstance(value, str):
            return f"'fingerprint: {name}' is {_shown(value)}, expected text"
    for part, optional in (("test", False), ("valid", False), ("cost", True)):
        for name, value in (data.get(part) or {}).items():
            if not (optional and value is None) and not _is_finite(value):
                return f"'{part}: {name}' is {_shown(value)}, expected a finite number"
    return None


def _config_problem(record: RunRecord) -> str | None:
    configuration = record.config()
    if _overgrown(configuration):
        return _overgrown(configuration)
    canonical_json(configuration)  # raises for what is no plain data, such as a date
    cutoffs = configuration.get("topk")
    cutoffs = [cutoffs] if _is_a(cutoffs, _WHOLE) else cutoffs
    if cutoffs is not None and not (isinstance(cutoffs, list)
                                    and all(_is_a(k, _WHOLE) and k > 0 for k in cutoffs)):
        return f"'topk' is {_shown(cutoffs)}, expected whole numbers above 0"
    return None


def _audit_problem(record: RunRecord) -> str | None:
    return _overgrown(record.audit())


def _epochs_problem(record: RunRecord) -> str | None:
    for row in record.epochs():
        for part in ("valid", "graph"):
            values = row.get(part)
            if values is None:
                continue
            if not isinstance(values, Mapping):
                return f"epoch {_shown(row['epoch'])}: '{part}' is {_shown(values)}, no mapping"
            for name, value in values.items():
                if isinstance(value, (int, float)) and not _is_finite(value):
                    return f"epoch {_shown(row['epoch'])}: '{part}: {name}' is {_shown(value)}"
    return None


def _users_problem(record: RunRecord) -> str | None:
    users = record.users()
    if list(users.columns[:2]) != ["user", "n_train"]:
        return f"starts with the columns {_shown(list(users.columns[:2]))}, expected user, n_train"
    if not len(users):
        return "holds no user"
    if not all(isinstance(user, str) for user in users["user"]):
        return "names users by something else than text"
    if users["user"].duplicated().any():
        return f"names user {_shown(users['user'][users['user'].duplicated()].iloc[0])} twice"
    return _counts_problem(users, ("n_train",)) or next(
        (f"'{name}' has values that are no finite number" for name in users.columns[2:]
         if users[name].dtype.kind not in "fiu" or not np.isfinite(users[name]).all()), None)


def _pairs_problem(record: RunRecord) -> str | None:
    pairs = record.pairs()
    missing = [name for name in ("user", "item", *_COUNTED) if name not in pairs]
    if missing:
        return f"lacks the column {missing[0]}"
    if pairs[["user", "item"]].isna().any(axis=None):
        return "has a pair without its user or item"
    return _counts_problem(pairs, _COUNTED)


def _counts_problem(frame: pd.DataFrame, names: Iterable[str]) -> str | None:
    return next((f"'{name}' holds something else than counts" for name in names
                 if frame[name].dtype.kind not in "iu" or (frame[name] < 0).any()), None)


def _is_a(value: Any, expected: type) -> bool:
    """A bool is no number here."""
    return isinstance(value, expected) and (expected is bool or not isinstance(value, bool))


def _is_finite(value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def _overgrown(value: Any) -> str | None:
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


def _shown(value: Any) -> str:
    text = one_line(repr(value))
    return text if len(text) <= 60 else text[:59] + "…"
