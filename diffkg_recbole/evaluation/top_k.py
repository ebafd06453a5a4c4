"""The K highest scores, ties broken by a stated rule."""

from __future__ import annotations

import torch
from torch import Tensor


def top_k(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k highest scores of every row; of equal scores the lower column comes first.

    ``torch.topk`` leaves the order of equal scores open. Here it decides alone only where all
    scores it looks at are different. Columns of -inf come in any order.

    Args:
        scores: [rows, n], no NaN.
        k: at most n.

    Returns:
        scores and columns, [rows, k] each.
    """
    value, column = torch.topk(scores, min(k + 1, scores.shape[1]), dim=-1)
    tied = (value[:, 1:] == value[:, :-1]) & (value[:, 1:] > -torch.inf)
    value, column = value[:, :k], column[:, :k]
    if tied.shape[1] == k:  # the first score outside may equal the last one inside
        across = tied[:, -1].nonzero().squeeze(1)
        if len(across):
            column[across] = _lowest_columns(scores[across], value[across, -1:], k)
    rows = tied.any(1).nonzero().squeeze(1)
    if len(rows):
        ascending = column[rows].sort(dim=1).values
        ordered, place = scores[rows].gather(1, ascending).sort(dim=1, descending=True, stable=True)
        column[rows], value[rows] = ascending.gather(1, place), ordered
    return value, column


def _lowest_columns(scores: Tensor, threshold: Tensor, k: int) -> Tensor:
    """The k columns above the threshold, then the lowest of those at it, ascending."""
    above, level = scores > threshold, scores == threshold
    wanted = k - above.sum(1, keepdim=True)
    chosen = above | (level & (level.cumsum(1, dtype=torch.int32) <= wanted))
    return chosen.nonzero()[:, 1].view(-1, k)
