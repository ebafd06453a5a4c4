"""Which runs a report can be made from: the others are named, with what is wrong, and left out.

Everything that a report reads of a run is looked at here, once, so that what computes and draws
need not doubt its numbers. A file that is not there is no damage (a run may keep no per-user
metrics); one that is there and cannot be believed makes the whole run unreadable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from diffkg_recbole.store import CorruptRunError, RunRecord
from diffkg_recbole.store.schema import is_a, is_finite, shown
from diffkg_recbole.text import one_line

_COUNTED = ("rank", "item_popularity", "item_triples")


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


def _config_problem(record: RunRecord) -> str | None:
    configuration = record.config()
    cutoffs = configuration.get("topk")
    cutoffs = [cutoffs] if is_a(cutoffs, int) else cutoffs
    if cutoffs is not None and not (isinstance(cutoffs, list)
                                    and all(is_a(k, int) and k > 0 for k in cutoffs)):
        return f"'topk' is {shown(cutoffs)}, expected whole numbers above 0"
    return None


def _audit_problem(record: RunRecord) -> None:
    record.audit()  # which raises for what is no plain data


def _epochs_problem(record: RunRecord) -> str | None:
    for row in record.epochs():
        for part in ("valid", "graph"):
            values = row.get(part)
            if values is None:
                continue
            if not isinstance(values, Mapping):
                return f"epoch {shown(row['epoch'])}: '{part}' is {shown(values)}, no mapping"
            for name, value in values.items():
                if isinstance(value, (int, float)) and not is_finite(value):
                    return f"epoch {shown(row['epoch'])}: '{part}: {name}' is {shown(value)}"
    return None


def _users_problem(record: RunRecord) -> str | None:
    users = record.users()
    if list(users.columns[:2]) != ["user", "n_train"]:
        return f"starts with the columns {shown(list(users.columns[:2]))}, expected user, n_train"
    if not len(users):
        return "holds no user"
    if not all(isinstance(user, str) for user in users["user"]):
        return "names users by something else than text"
    if users["user"].duplicated().any():
        return f"names user {shown(users['user'][users['user'].duplicated()].iloc[0])} twice"
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
