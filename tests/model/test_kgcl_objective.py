"""KGCL's own loss terms against sums written out term by term in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from diffkg_recbole.model.kgcl.objective import batch_l2, ranking_sum, translation


def rows(*shape: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()
        for _ in range(4)
    ]


def dot(a, b) -> float:
    return sum(x.item() * y.item() for x, y in zip(a, b))


def squared(a) -> float:
    return dot(a, a)


def test_ranking_sum_equals_the_plain_sum():
    users, positives, negatives, _ = rows(6, 5)
    expected = sum(
        -math.log(1 / (1 + math.exp(-(dot(u, p) - dot(u, n)))))
        for u, p, n in zip(users, positives, negatives)
    )
    assert ranking_sum(users, positives, negatives).item() == pytest.approx(expected, rel=1e-12)


def test_ranking_sum_does_not_overflow():
    users = torch.full((1, 1), 1e3)
    loss = ranking_sum(users, torch.tensor([[-1.0]]), torch.tensor([[1.0]]))
    assert loss.item() == pytest.approx(2e3)


def test_batch_l2_equals_the_plain_sum():
    users, positives, negatives, _ = rows(6, 5, seed=1)
    expected = sum(
        0.5 * (squared(u) + squared(p) + squared(n))
        for u, p, n in zip(users, positives, negatives)
    ) / 6
    assert batch_l2(users, positives, negatives).item() == pytest.approx(expected, rel=1e-12)


def plain_translation(heads, relations, tails, wrong, reg_weight: float) -> float:
    total = 0.0
    for h, r, t, w in zip(heads, relations, tails, wrong):
        right_distance = squared([a + b - c for a, b, c in zip(h, r, t)])
        wrong_distance = squared([a + b - c for a, b, c in zip(h, r, w)])
        total -= math.log(1 / (1 + math.exp(-(wrong_distance - right_distance))))
        total += reg_weight * (squared(h) + squared(r) + squared(t) + squared(w)) / 2
    return total / len(heads)


@pytest.mark.parametrize("reg_weight", [0.0, 1e-3, 0.7])
def test_translation_equals_the_plain_sum(reg_weight):
    parts = rows(6, 5, seed=2)
    parts = [0.5 * part for part in parts]
    loss = translation(*parts, reg_weight)
    assert loss.item() == pytest.approx(plain_translation(*parts, reg_weight), rel=1e-12)


def test_translation_falls_where_the_right_tail_is_nearer():
    head, relation = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    right, wrong = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    good = translation(head, relation, right, wrong, 0.0)
    bad = translation(head, relation, wrong, right, 0.0)
    assert good.item() == pytest.approx(math.log1p(math.exp(-1)))
    assert bad.item() == pytest.approx(math.log1p(math.exp(1)))


def test_gradients():
    users, positives, negatives, fourth = rows(3, 4, seed=4)
    assert torch.autograd.gradcheck(ranking_sum, (users, positives, negatives))
    assert torch.autograd.gradcheck(batch_l2, (users, positives, negatives))
    assert torch.autograd.gradcheck(
        lambda *parts: translation(*parts, 1e-3), (users, positives, negatives, fourth)
    )


def test_the_order_of_the_batch_does_not_matter():
    users, positives, negatives, wrong = rows(9, 4, seed=5)
    order = torch.randperm(9)
    for loss, parts in (
        (ranking_sum, (users, positives, negatives)),
        (batch_l2, (users, positives, negatives)),
        (lambda *p: translation(*p, 1e-3), (users, positives, negatives, wrong)),
    ):
        shuffled = loss(*(part[order] for part in parts))
        np.testing.assert_allclose(shuffled.item(), loss(*parts).item(), rtol=1e-12)
