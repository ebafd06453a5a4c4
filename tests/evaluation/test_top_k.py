"""The K highest scores against a stable sort of everything."""

import pytest
import torch

from diffkg_recbole.evaluation.top_k import top_k


def plain(scores, k):
    order = torch.argsort(scores, dim=1, descending=True, stable=True)[:, :k]
    return scores.gather(1, order), order


@pytest.mark.parametrize("levels", [1, 2, 5, 40, 10_000_000])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (7, 7), (50, 3), (50, 49), (300, 20)])
def test_equal_scores_are_ordered_by_column(levels, n, k):
    generator = torch.Generator().manual_seed(n + k)
    scores = torch.randint(levels, (64, n), generator=generator).float()
    value, column = top_k(scores, k)
    expected = plain(scores, k)
    assert torch.equal(value, expected[0])
    assert torch.equal(column, expected[1])


@pytest.mark.parametrize("candidates", [0, 1, 3, 4, 9])
def test_masked_columns_come_last(candidates):
    scores = torch.full((5, 12), -torch.inf)
    scores[:, torch.tensor([2, 11, 5, 7, 1, 9, 8, 3, 6])[:candidates]] = 1.0
    value, column = top_k(scores, 4)
    shown = value > -torch.inf
    assert shown.sum(1).tolist() == [min(candidates, 4)] * 5
    expected = plain(scores, 4)[1]
    assert torch.equal(column[shown], expected[shown])


def test_scores_without_ties_are_as_torch_finds_them():
    scores = torch.randn(9, 500, generator=torch.Generator().manual_seed(1))
    before = scores.clone()
    value, column = top_k(scores, 10)
    assert torch.equal(column, scores.topk(10).indices)
    assert torch.equal(value, scores.gather(1, column))
    assert torch.equal(scores, before)
