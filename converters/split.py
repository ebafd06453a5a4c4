"""Cutting a part of every user's pairs, seeded and without a loop over users."""

from __future__ import annotations

import numpy as np

RULE = (
    "per user: of n training pairs, the whole part of n * fraction, but at least one, is drawn "
    "uniformly without replacement; a user with a single training pair keeps it"
)
GIVEN = "the source's own validation part"


def cut_per_user(
    pairs: np.ndarray, n_users: int, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Divide pairs into those that stay and those that are cut, by :data:`RULE`.

    The result depends on the pairs, the fraction and the seed alone, not on the pairs' order.

    Args:
        pairs: (n, 2) int64 user and item, distinct and ascending.
        n_users: number of users.
        fraction: share to cut, inside (0, 1).
        seed: of the draw.

    Returns:
        (k, 2) pairs that stay and (n - k, 2) pairs that are cut, both ascending.
    """
    users = pairs[:, 0]
    counts = np.bincount(users, minlength=n_users)
    whole = np.floor(counts * fraction + 1e-9).astype(np.int64)  # 100 * 0.29 is 28.999...
    wanted = np.minimum(np.maximum(whole, 1), counts - 1)
    draw = np.random.default_rng(seed).random(len(pairs))
    order = np.lexsort((draw, users))
    first_of_user = np.cumsum(counts) - counts
    rank = np.empty(len(pairs), dtype=np.int64)
    rank[order] = np.arange(len(pairs)) - first_of_user[users[order]]
    cut = rank < wanted[users]
    return pairs[~cut], pairs[cut]
