"""Ranking metrics per user, as pure functions of a hit matrix.

Definitions equal RecBole's (``recbole.evaluator.metrics``); RecBole's own MRR, MAP and NDCG need
``numpy.float``, which NumPy 2 no longer has, and loop over users in Python.

Every function takes ``hit`` [users, K] bool (is the item at this rank a positive?) and
``n_positive`` [users] int (positives of the user, at least 1), and returns float64
[users, K]: the metric at each cut-off 1..K.
"""

from __future__ import annotations

from typing import Callable

import numpy as np

Metric = Callable[[np.ndarray, np.ndarray], np.ndarray]


def recall(hit: np.ndarray, n_positive: np.ndarray) -> np.ndarray:
    """Share of the user's positives among the first k."""
    return np.cumsum(hit, axis=1) / n_positive[:, None]


def precision(hit: np.ndarray, n_positive: np.ndarray) -> np.ndarray:
    """Share of positives among the first k."""
    return np.cumsum(hit, axis=1) / np.arange(1, hit.shape[1] + 1)


def hit_rate(hit: np.ndarray, n_positive: np.ndarray) -> np.ndarray:
    """1 where any of the first k is a positive."""
    return (np.cumsum(hit, axis=1) > 0).astype(np.float64)


def mrr(hit: np.ndarray, n_positive: np.ndarray) -> np.ndarray:
    """1 / rank of the first positive, 0 where none is among the first k."""
    first = np.where(hit.any(axis=1), hit.argmax(axis=1), hit.shape[1])
    reached = np.arange(hit.shape[1])[None, :] >= first[:, None]
    return np.where(reached, 1.0 / (first[:, None] + 1), 0.0)


def ndcg(hit: np.ndarray, n_positive: np.ndarray) -> np.ndarray:
    """Discounted gain Σ 1/log2(rank + 1) over the gain of the best possible first k."""
    gain = 1.0 / np.log2(np.arange(2, hit.shape[1] + 2))
    ideal = np.cumsum(gain)
    cut = np.minimum(np.arange(1, hit.shape[1] + 1)[None, :], n_positive[:, None])
    return np.cumsum(hit * gain, axis=1) / ideal[cut - 1]


def average_precision(hit: np.ndarray, n_positive: np.ndarray) -> np.ndarray:
    """Mean of the precision at each hit, over min(positives, k)."""
    at_hits = np.cumsum(precision(hit, n_positive) * hit, axis=1)
    cut = np.minimum(np.arange(1, hit.shape[1] + 1)[None, :], n_positive[:, None])
    return at_hits / cut


RANKING_METRICS: dict[str, Metric] = {
    "recall": recall,
    "precision": precision,
    "hit": hit_rate,
    "mrr": mrr,
    "ndcg": ndcg,
    "map": average_precision,
}
