"""Metrics against plain loops over the definitions, RecBole's classes and recorded numbers."""

import math

import numpy as np
import pytest
import torch
from recbole.evaluator.metrics import Hit, Precision, Recall

from diffkg_recbole.evaluation.evaluator import RankedUsers, positives_among
from diffkg_recbole.evaluation.metrics import RANKING_METRICS


def plain_metric(name, hits, n_positive, k):
    """One user's metric, written from its definition."""
    first = hits[:k]
    if name == "recall":
        return sum(first) / n_positive
    if name == "precision":
        return sum(first) / k
    if name == "hit":
        return float(any(first))
    if name == "mrr":
        return next((1 / (rank + 1) for rank, hit in enumerate(first) if hit), 0.0)
    if name == "ndcg":
        gain = sum(1 / math.log2(rank + 2) for rank, hit in enumerate(first) if hit)
        return gain / sum(1 / math.log2(rank + 2) for rank in range(min(k, n_positive)))
    if name == "map":
        precisions = [sum(first[: i + 1]) / (i + 1) for i, hit in enumerate(first) if hit]
        return sum(precisions) / min(k, n_positive)
    raise AssertionError(name)


@pytest.fixture
def users():
    rng = np.random.default_rng(3)
    hit = rng.random((40, 12)) < 0.2
    hit[0] = False
    hit[1] = True
    return hit, hit.sum(1) + rng.integers(1, 9, 40)


@pytest.mark.parametrize("name", sorted(RANKING_METRICS))
def test_metric_equals_its_definition(name, users):
    hit, n_positive = users
    got = RANKING_METRICS[name](hit, n_positive)
    expected = [[plain_metric(name, list(h), int(n), k) for k in range(1, 13)]
                for h, n in zip(hit, n_positive)]
    np.testing.assert_allclose(got, expected, rtol=1e-14)


@pytest.mark.parametrize(("name", "recbole_class"),
                         [("recall", Recall), ("hit", Hit), ("precision", Precision)])
def test_metric_equals_recbole(name, recbole_class, users):
    hit, n_positive = users
    metric = recbole_class({"metric_decimal_place": 4, "topk": [5]})
    theirs = metric.metric_info(hit, n_positive) if name == "recall" else metric.metric_info(hit)
    np.testing.assert_array_equal(RANKING_METRICS[name](hit, n_positive), theirs)


@pytest.mark.parametrize("k", [5, 20])
def test_recorded_ranking_and_metrics(golden, k):
    scores = torch.tensor(golden["in/score"])
    users = golden["eval/users"]
    train, test = golden["data/trn"], golden["data/tst"]
    scores[train[:, 0], train[:, 1]] = -torch.inf
    top = scores[users].topk(k).indices
    np.testing.assert_array_equal(top.numpy(), golden[f"eval/top{k}"])

    row_of = {int(u): row for row, u in enumerate(users)}
    rows = torch.tensor([row_of[int(u)] for u in test[:, 0]])
    hit, counts = positives_among(top, rows, torch.tensor(test[:, 1]), scores.shape[1])
    ranked = RankedUsers(top.numpy(), hit.numpy(), counts.numpy())
    values = ranked.per_user(["Recall", "NDCG"], [k])
    per_user = np.stack([values[f"recall@{k}"], values[f"ndcg@{k}"]], axis=1)
    np.testing.assert_allclose(per_user, golden[f"eval/per_user{k}"], rtol=1e-12)
    np.testing.assert_allclose(per_user.mean(0), golden[f"eval/mean{k}"], rtol=1e-12)


def test_positives_are_found_row_by_row():
    top = torch.tensor([[3, 1, 2], [3, 0, 1]])
    hit, counts = positives_among(top, torch.tensor([0, 1, 1]), torch.tensor([2, 3, 4]), 5)
    assert hit.tolist() == [[False, False, True], [True, False, False]]
    assert counts.tolist() == [1, 2]
