"""How KGCL decides which interactions a view keeps: stable items keep more of theirs.

Pure functions on tensors; the draws are made elsewhere and handed in.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

WEIGHT_FLOOR = 0.3
"""No item's scaled weight falls below this, so that every item keeps some interactions."""

KEEP_CEILING = 0.95
"""No item's keep probability exceeds this, so that every item loses some interactions."""

_FLOAT32_NOISE = 1e-6


def item_stability(first: Tensor, second: Tensor) -> Tensor:
    """Cosine of each item's representations under the two knowledge-graph subsets.

    Computed in float64: an item that the graph does not reach has the same representation
    twice, and its stability must not differ from 1 by rounding (the min-max scaling that
    follows would blow the difference up).

    Args:
        first: [n_items, d] representations under the first subset.
        second: [n_items, d] representations under the second subset.

    Returns:
        [n_items] float64 in [-1, 1].
    """
    return F.cosine_similarity(first.double(), second.double(), dim=-1).clamp(-1.0, 1.0)


def keep_probability(stability: Tensor, mean_keep_rate: float) -> Tensor:
    """Probability with which a view keeps an interaction of each item (mathematics 7.3).

    ``w = exp(s)``, min-max scaled to [0, 1] over the items and floored at 0.3;
    ``p = min(μ / mean(w) · w, 0.95)``. Where all items are equally stable the scaling is 0/0;
    equal weights are then what it means, so that ``p = min(μ, 0.95)`` for every item.

    Args:
        stability: [n_items] from :func:`item_stability`.
        mean_keep_rate: μ.

    Returns:
        [n_items] in (0, 0.95], dtype of ``stability``.
    """
    weight = torch.exp(stability)
    lowest = weight.min()
    span = weight.max() - lowest
    distinct = span > _FLOAT32_NOISE
    scaled = (weight - lowest) / torch.where(distinct, span, torch.ones_like(span))
    scaled = torch.where(distinct, scaled, torch.ones_like(scaled)).clamp(min=WEIGHT_FLOOR)
    return (mean_keep_rate / scaled.mean() * scaled).clamp(max=KEEP_CEILING)
