"""Metrics of groups of users and items: who, and what, a model serves well.

A :class:`Grouping` is defined once, from one run, and then applied to every run of a
comparison by token, so that all models are cut along the same lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Callable

import numpy as np
import pandas as pd

from diffkg_recbole.errors import UserError
from diffkg_recbole.store import RunRecord

GroupTable = Callable[[RunRecord], pd.DataFrame]
"""Makes the table of a run: a row per group, sizes and metrics in columns."""

ITEM_FACTORS = {"popularity": "item_popularity", "triples": "item_triples"}


@dataclass(frozen=True)
class Grouping:
    """Users or items cut into groups by a count.

    Args:
        factor: what was counted, in words ("training interactions of the user").
        names: name of each group ("1-4"), in ascending order of the count.
        of: index of the group per token. [users or items] int64, indexed by token
    """

    factor: str
    names: list[str]
    of: pd.Series

    def codes(self, tokens: pd.Series) -> np.ndarray:
        """Group of each token. [len(tokens)] int64

        Raises:
            UserError: if a token has no group, because the run saw other data.
        """
        codes = tokens.map(self.of)
        unknown = tokens[codes.isna()]
        if len(unknown):
            raise UserError(f"{unknown.nunique()} tokens are in no group of '{self.factor}', "
                            f"e.g. '{unknown.iloc[0]}': the run saw other data")
        return codes.to_numpy(np.int64)


def user_groups(record: RunRecord, number: int = 4, bins: str = "quantile") -> Grouping:
    """Test users by the number of their training interactions.

    Args:
        record: the run that defines the groups.
        number: how many quantile groups to aim at; equal counts stay together, so there may
            be fewer. Logarithmic bins need no number.
        bins: "quantile" (about equally many users each) or "log" (0, 1, 2-3, 4-7, 8-15, ...).
    """
    users = record.users()
    counts = pd.Series(users["n_train"].to_numpy(), index=users["user"])
    return _grouping("training interactions of the user", counts, number, bins)


def item_groups(
    record: RunRecord, by: str = "popularity", number: int = 4, bins: str = "quantile"
) -> Grouping:
    """Items of the test pairs by training interactions or by triples.

    Args:
        record: the run that defines the groups. For ``by="triples"`` take one that saw the
            original graph.
        by: "popularity" (training interactions) or "triples".
        number, bins: as in :func:`user_groups`; quantiles are of items, not of pairs.
    """
    if by not in ITEM_FACTORS:
        raise ValueError(f"items are grouped by {sorted(ITEM_FACTORS)}, not by {by!r}")
    items = record.pairs().drop_duplicates("item")
    counts = pd.Series(items[ITEM_FACTORS[by]].to_numpy(), index=items["item"])
    words = "training interactions" if by == "popularity" else "triples"
    return _grouping(f"{words} of the item", counts, number, bins)


def _grouping(factor: str, counts: pd.Series, number: int, bins: str) -> Grouping:
    values = counts.to_numpy(np.int64)
    if len(values) == 0:
        raise UserError(f"no groups by {factor}: the run has no test pairs")
    if bins == "log":
        starts = _log_starts(values)
    elif bins == "quantile" and number >= 1:
        starts = _quantile_starts(values, number)
    else:
        raise ValueError(f"bins must be 'quantile' (number >= 1) or 'log', got {bins!r}, {number}")
    codes = np.searchsorted(starts, values, side="right") - 1
    names = [_name(values[codes == code]) for code in range(len(starts))]
    return Grouping(factor, names, pd.Series(codes, index=counts.index, dtype=np.int64))


def _quantile_starts(values: np.ndarray, number: int) -> np.ndarray:
    """Smallest count of each group: the counts at the ranks 0, n/number, 2n/number, ..."""
    ranks = np.arange(number) * len(values) // number
    return np.unique(np.sort(values)[ranks])


def _log_starts(values: np.ndarray) -> np.ndarray:
    """0, 1, 2, 4, 8, ..., as far as a value lies in the bin."""
    exponents = np.arange(int(values.max()).bit_length())
    starts = np.concatenate([[0], 2**exponents])
    bins = np.searchsorted(starts, values, side="right") - 1
    return starts[np.unique(bins)]


def _name(values: np.ndarray) -> str:
    low, high = values.min(), values.max()
    return str(low) if low == high else f"{low}-{high}"


def user_group_metrics(
    record: RunRecord, grouping: Grouping, metrics: Sequence[str] | None = None
) -> pd.DataFrame:
    """Mean of the per-user metrics in each group of users.

    Args:
        record: a run.
        grouping: from :func:`user_groups`.
        metrics: columns of ``users.parquet``, by default all.

    Returns:
        A row per group: ``group``, ``users`` (how many) and the metrics.
    """
    users = record.users()
    metrics = list(users.columns[2:]) if metrics is None else list(metrics)
    unknown = [metric for metric in metrics if metric not in users.columns[2:]]
    if unknown:
        raise UserError(f"run {record.folder.name} has no per-user values of {unknown}; "
                        f"it has {list(users.columns[2:])}")
    by_group = users.groupby(grouping.codes(users["user"]))
    table = by_group[metrics].mean().reindex(range(len(grouping.names)))
    sizes = by_group.size().reindex(table.index, fill_value=0)
    table.insert(0, "group", grouping.names)
    table.insert(1, "users", sizes)
    return table.reset_index(drop=True)


def longest_list(record: RunRecord) -> int:
    """The largest cut-off of a run, to which it recorded ranks."""
    cutoffs = record.config().get("topk") or [0]
    return max(cutoffs) if isinstance(cutoffs, list) else cutoffs


def item_group_recall(record: RunRecord, grouping: Grouping, k: int) -> pd.DataFrame:
    """Share of the test pairs in each group of items that the model ranked among its first k.

    Args:
        record: a run.
        grouping: from :func:`item_groups`.
        k: cut-off, at most the length of the stored lists.

    Returns:
        A row per group: ``group``, ``items`` (how many), ``pairs`` and ``recall@k``.

    Raises:
        UserError: if k is beyond the ranks that the run recorded.
    """
    longest = longest_list(record)
    if not 1 <= k <= longest:
        raise UserError(f"run {record.folder.name} recorded ranks up to {longest}, not {k}")
    pairs = record.pairs()
    frame = pd.DataFrame({
        "item": pairs["item"], "hit": pairs["rank"].between(1, k),
        "code": grouping.codes(pairs["item"]),
    })
    by_group = frame.groupby("code")
    index = range(len(grouping.names))
    return pd.DataFrame({
        "group": grouping.names,
        "items": by_group["item"].nunique().reindex(index, fill_value=0).to_numpy(),
        "pairs": by_group.size().reindex(index, fill_value=0).to_numpy(),
        f"recall@{k}": by_group["hit"].mean().reindex(index).to_numpy(),
    })


def over_runs(
    records: Sequence[RunRecord], table: GroupTable
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean and standard deviation over seeds of a group table.

    Args:
        records: the runs of one row of the comparison.
        table: makes the group table of a run, e.g.
            ``partial(user_group_metrics, grouping=groups)``.

    Returns:
        Two tables shaped like those of ``table``; the second holds NaN for a single run.
    """
    tables = [table(record) for record in records]
    fixed = [name for name in tables[0].columns if name in ("group", "users", "items", "pairs")]
    values = np.stack([one.drop(columns=fixed).to_numpy(np.float64) for one in tables])
    columns = tables[0].columns.drop(fixed)
    spread = np.full(values.shape[1:], np.nan) if len(tables) == 1 else values.std(axis=0, ddof=1)
    mean, sd = (pd.concat([tables[0][fixed], pd.DataFrame(block, columns=columns)], axis=1)
                for block in (values.mean(axis=0), spread))
    return mean, sd
