"""The cut of a validation part: sizes by the rule, seeded, independent of order and format."""

from __future__ import annotations

import numpy as np
import pytest

from converters.split import cut_per_user


def some_pairs(n_users: int = 200, n_items: int = 60) -> np.ndarray:
    generator = np.random.default_rng(5)
    chance = generator.random((n_users, 1)) * 0.6
    return np.argwhere(generator.random((n_users, n_items)) < chance)


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.25, 0.29, 0.5, 0.99])
def test_sizes_follow_the_rule(fraction: float) -> None:
    pairs = some_pairs()
    stay, cut = cut_per_user(pairs, 200, fraction, seed=1)
    for user in range(200):
        n = int((pairs[:, 0] == user).sum())
        wanted = min(max(int(round(n * fraction, 6)), 1), n - 1) if n else 0
        assert (cut[:, 0] == user).sum() == wanted
        assert (stay[:, 0] == user).sum() == n - wanted
    both = np.concatenate([stay, cut])
    np.testing.assert_array_equal(both[np.lexsort(both.T[::-1])], pairs)


def test_a_hundred_pairs_give_twenty_nine() -> None:
    pairs = np.stack([np.zeros(100, dtype=np.int64), np.arange(100)], axis=1)
    assert len(cut_per_user(pairs, 1, 0.29, seed=0)[1]) == 29


def test_single_pairs_stay() -> None:
    pairs = np.array([[0, 4], [2, 1], [3, 0]])
    stay, cut = cut_per_user(pairs, 5, 0.5, seed=0)
    np.testing.assert_array_equal(stay, pairs)
    assert cut.shape == (0, 2)


def test_the_seed_alone_changes_the_draw() -> None:
    pairs = some_pairs()
    one, same, other = (cut_per_user(pairs, 200, 0.2, seed)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert len(one) == len(other)
    assert not np.array_equal(one, other)


def test_every_pair_is_cut_equally_often() -> None:
    pairs = np.stack([np.zeros(10, dtype=np.int64), np.arange(10)], axis=1)
    draws = np.concatenate([cut_per_user(pairs, 1, 0.3, seed)[1][:, 1] for seed in range(2000)])
    counts = np.bincount(draws, minlength=10)
    # 2000 draws of 3 in 10: 600 each, standard deviation about 20.5.
    assert counts.sum() == 6000
    assert (abs(counts - 600) < 100).all()
