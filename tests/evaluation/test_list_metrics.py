"""Metrics of all lists and of whole rankings against plain sums over their definitions."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

from diffkg_recbole.evaluation.list_metrics import LIST_METRICS, area_under_curve, tail_percentage

N_ITEMS = 12


def plain(name, lists, counts):
    """A metric written from its definition, item by item."""
    rows = [[item for item in row if item > 0] for row in lists.tolist()]
    times = Counter(item for row in rows for item in row)
    total = sum(times.values())
    if name == "itemcoverage":
        return len(times) / N_ITEMS
    if name == "giniindex":
        each = [times[item] for item in range(1, N_ITEMS + 1)]
        differences = sum(abs(a - b) for a in each for b in each)
        return differences / (2 * N_ITEMS * total)
    if name == "shannonentropy":
        return -sum(n / total * math.log(n / total) for n in times.values())
    if name == "averagepopularity":
        return np.mean([np.mean([counts[item] for item in row]) for row in rows])
    if name == "tailpercentage":
        rare = sorted((counts[i], i) for i in range(1, N_ITEMS + 1) if counts[i])
        tail = {item for _, item in rare[:max(int(len(rare) * 0.1), 1)]}
        return np.mean([np.mean([item in tail for item in row]) for row in rows])
    raise AssertionError(name)


@pytest.fixture(params=range(4))
def lists(request):
    rng = np.random.default_rng(request.param)
    return np.stack([rng.permutation(N_ITEMS - request.param)[:5] + 1 for _ in range(30)])


@pytest.fixture
def counts():
    return np.array([0, 4, 4, 0, 1, 9, 2, 2, 30, 1, 7, 5, 0])


@pytest.mark.parametrize("name", sorted(LIST_METRICS))
def test_metric_equals_its_definition(name, lists, counts):
    assert LIST_METRICS[name](lists, counts) == pytest.approx(plain(name, lists, counts), rel=1e-12)


@pytest.mark.parametrize("name", sorted(LIST_METRICS))
def test_places_without_a_candidate_count_for_nothing(name, counts):
    lists = np.array([[3, 1, 9, -1], [8, 1, -1, -1], [9, 2, 4, 5]])
    assert LIST_METRICS[name](lists, counts) == pytest.approx(plain(name, lists, counts), rel=1e-12)


@pytest.mark.parametrize("name", sorted(LIST_METRICS))
def test_nobody_gets_anything(name, counts):
    assert LIST_METRICS[name](np.full((2, 3), -1), counts) == 0


def test_a_tail_of_rare_items(counts):
    lists = np.array([[4, 5], [3, 8]])
    assert tail_percentage(lists, counts, 2) == 0.25  # 4 has one; 3 has none and is not in it
    assert tail_percentage(lists, counts, 1.0) == 0.75  # every item that occurs


def plain_auc(scores, positives):
    """One user: pairs of a positive and another candidate."""
    others = [i for i in range(len(scores)) if i not in positives and scores[i] > -math.inf]
    if not positives or not others:
        return math.nan
    wins = 0.0
    for p in positives:
        for o in others:
            if scores[p] > -math.inf:
                wins += 1.0 if scores[p] > scores[o] else 0.5 if scores[p] == scores[o] else 0.0
    return wins / (len(positives) * len(others))


@pytest.mark.parametrize("levels", [1, 4, 1000])
def test_area_under_curve_equals_all_its_pairs(levels):
    generator = torch.Generator().manual_seed(levels)
    scores = torch.randint(levels, (25, 40), generator=generator).float()
    scores[torch.rand(scores.shape, generator=generator) < 0.2] = -torch.inf
    scores[:, 0] = -torch.inf
    positive = torch.rand(scores.shape, generator=generator) < 0.15
    positive[:, 0] = False
    positive[3] = False
    scores[4] = torch.where(positive[4], scores[4], -torch.inf)
    row, item = positive.nonzero().unbind(1)
    shuffled = torch.randperm(len(row), generator=generator)
    got = area_under_curve(scores, row[shuffled], item[shuffled])
    expected = [plain_auc(s, set(np.flatnonzero(p)))
                for s, p in zip(scores.tolist(), positive.numpy())]
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert np.isnan(got[[3, 4]]).all()
