"""Metrics of all lists together, and of whole rankings, in float64.

RecBole's own divide by [PAD] too (ItemCoverage, GiniIndex), divide the entropy by the number of
recommended items, which its documentation does not (ShannonEntropy), count masked items as
recommended where candidates are few, and add ranks in float32 (GAUC).

Every function takes the lists' first k items [users, k] int64 (-1 where there was no candidate),
and the training interactions of each item [items + 1] int64, with [PAD] at 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

ListMetric = Callable[[np.ndarray, np.ndarray], float]


def _recommended(lists: np.ndarray, item_counts: np.ndarray) -> np.ndarray:
    """How often each item is recommended. [items] int64."""
    return np.bincount(lists[lists > 0], minlength=len(item_counts))[1:]


def item_coverage(lists: np.ndarray, item_counts: np.ndarray) -> float:
    """Share of the items that are recommended to anyone."""
    return float((_recommended(lists, item_counts) > 0).mean())


def gini_index(lists: np.ndarray, item_counts: np.ndarray) -> float:
    """Inequality of how often items are recommended: 0 all alike, towards 1 few items only."""
    times = np.sort(_recommended(lists, item_counts))
    n = len(times)
    weights = 2 * np.arange(1, n + 1) - n - 1
    return float((weights * times).sum() / (n * max(times.sum(), 1)))


def shannon_entropy(lists: np.ndarray, item_counts: np.ndarray) -> float:
    """Entropy, in nats, of drawing one recommendation at random."""
    times = _recommended(lists, item_counts)
    share = times[times > 0] / max(times.sum(), 1)
    return float(-(share * np.log(share)).sum())


def _mean_in_lists(values: np.ndarray, lists: np.ndarray) -> float:
    """Mean over users of the mean of a value of their recommended items."""
    valid = lists > 0
    sums = np.where(valid, values[np.where(valid, lists, 0)], 0).sum(axis=1)
    return float((sums / np.maximum(valid.sum(axis=1), 1)).mean())


def average_popularity(lists: np.ndarray, item_counts: np.ndarray) -> float:
    """Mean number of training interactions of a recommended item."""
    return _mean_in_lists(item_counts.astype(np.float64), lists)


def tail_percentage(
    lists: np.ndarray, item_counts: np.ndarray, tail_ratio: float | None = None
) -> float:
    """Share of long-tail items in the lists.

    Args:
        tail_ratio: RecBole's key. Up to 1, the tail is this share of the items with a training
            interaction, the rarest ones (of equal ones the lower id); above 1, items with at most
            so many training interactions. None or 0: 0.1.
    """
    ratio = tail_ratio if tail_ratio and tail_ratio > 0 else 0.1
    occurring = np.flatnonzero(item_counts)
    if ratio > 1:
        tail = occurring[item_counts[occurring] <= ratio]
    else:
        rarest = occurring[np.argsort(item_counts[occurring], kind="stable")]
        tail = rarest[:max(int(len(rarest) * ratio), 1)]
    in_tail = np.zeros(len(item_counts))
    in_tail[tail] = 1
    return _mean_in_lists(in_tail, lists)


LIST_METRICS: dict[str, ListMetric] = {
    "itemcoverage": item_coverage,
    "giniindex": gini_index,
    "shannonentropy": shannon_entropy,
    "averagepopularity": average_popularity,
    "tailpercentage": tail_percentage,
}


def area_under_curve(scores: Tensor, row: Tensor, item: Tensor) -> np.ndarray:
    """For each user, how often a positive beats another candidate; a tie is half a win.

    Args:
        scores: [users, items], -inf where masked. A masked positive beats no one.
        row, item: [P] positives, distinct pairs.

    Returns:
        [users] float64; NaN without a positive or without another candidate.
    """
    row, item = row.to(scores.device), item.to(scores.device)
    n_users, ordered = len(scores), scores.sort(dim=1).values
    counts = torch.bincount(row, minlength=n_users)
    order = torch.argsort(row, stable=True)
    row, item = row[order], item[order]
    place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    table = scores.new_full((n_users, max(int(counts.max()), 1)), -torch.inf)
    table[row, place] = scores[row, item]
    below = torch.searchsorted(ordered, table)
    up_to = torch.searchsorted(ordered, table, right=True)
    masked = torch.searchsorted(ordered, ordered.new_full((n_users, 1), -torch.inf), right=True)
    seen = table > -torch.inf
    n_seen = seen.sum(1)
    # Mean ranks among the candidates, counted from 1, less those among the positives alone.
    ranks = torch.where(seen, (below + up_to + 1).double() / 2 - masked, 0.0).sum(1)
    wins = (ranks - n_seen * (n_seen + 1) / 2).cpu().numpy()
    others = (scores.shape[1] - masked.squeeze(1) - n_seen).cpu().numpy()
    pairs = counts.cpu().numpy() * others
    return np.where(pairs > 0, wins / np.maximum(pairs, 1), np.nan)
