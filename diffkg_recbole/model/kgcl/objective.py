"""The loss terms that are KGCL's own (mathematics 7.4, 7.5); InfoNCE is shared with DiffKG."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def ranking_sum(users: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """``Σ softplus(⟨u, n⟩ − ⟨u, p⟩)`` over the batch.

    Args:
        users, positives, negatives: [batch, d] propagated embeddings.

    Returns:
        scalar; softplus keeps it finite for any score.
    """
    return F.softplus((users * (negatives - positives)).sum(-1)).sum()


def batch_l2(users: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """``½ (‖u‖² + ‖p‖² + ‖n‖²) / batch`` over the batch's propagated embeddings, [batch, d]."""
    squares = users.square().sum() + positives.square().sum() + negatives.square().sum()
    return 0.5 * squares / users.shape[0]


def translation(
    heads: Tensor, relations: Tensor, tails: Tensor, wrong_tails: Tensor, reg_weight: float
) -> Tensor:
    """TransE with squared distances: ``mean −log σ(‖h+r−t'‖² − ‖h+r−t‖²) + reg · L2``.

    ``L2`` is half the squared norm of each of the four embeddings, mean over the batch.

    Args:
        heads, relations, tails, wrong_tails: [batch, d] embeddings.
        reg_weight: weight of the L2 term.

    Returns:
        scalar.
    """
    expected = heads + relations
    right = (expected - tails).square().sum(-1)
    wrong = (expected - wrong_tails).square().sum(-1)
    squares = sum(part.square().sum() for part in (heads, relations, tails, wrong_tails))
    return F.softplus(right - wrong).mean() + reg_weight * 0.5 * squares / heads.shape[0]
