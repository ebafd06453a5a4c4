"""What is collected from scores equals what RecBole collects, in every protocol of metrics."""

import numpy as np
import pytest
import torch
from recbole.evaluator import Collector
from recbole.evaluator.collector import DataStruct
from recbole.evaluator.metrics import AveragePopularity, GiniIndex, ItemCoverage

from diffkg_recbole.config import Config
from diffkg_recbole.evaluation import RankingCollector, RankingEvaluator
from diffkg_recbole.evaluation.evaluator import gather_ranked
from diffkg_recbole.quick_start import prepare
from tests.data.synthetic import write_synthetic

SIZES = (30, 80)  # users, items


@pytest.fixture
def config(tmp_path):
    return Config("BPR", "synthetic", config_dict={
        **write_synthetic(tmp_path), "topk": [3, 7], "valid_metric": "Recall@7", "use_gpu": False})


def batch(seed):
    """Scores with masked items, and positives of which some are masked."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(SIZES, generator=generator)
    scores[torch.rand(SIZES, generator=generator) < 0.3] = -torch.inf
    positive = torch.rand(SIZES, generator=generator) < 0.1
    positive[:, 5] = True
    return scores, *positive.nonzero().unbind(1)


def test_hits_and_counts_equal_recboles(config):
    ours, theirs = RankingCollector(config), Collector(config)
    for seed in range(3):
        scores, row, item = batch(seed)
        for collector in (ours, theirs):
            collector.eval_batch_collect(scores.clone(), None, row, item)
    expected = theirs.data_struct["rec.topk"].numpy()
    ranked = ours.take_ranked()
    np.testing.assert_array_equal(ranked.hit, expected[:, :-1].astype(bool))
    np.testing.assert_array_equal(ranked.n_positive, expected[:, -1])
    assert ours.take_ranked() is None


def test_a_masked_item_is_no_recommendation_even_for_want_of_others(config):
    collector = RankingCollector(config)
    scores = torch.full((1, 9), -torch.inf)
    scores[0, [2, 4]] = torch.tensor([1.0, 3.0])
    collector.eval_batch_collect(scores, None, torch.tensor([0, 0]), torch.tensor([2, 8]))
    ranked = collector.take_ranked()
    assert ranked.items.tolist() == [[4, 2, -1, -1, -1, -1, -1]]
    assert ranked.hit.tolist() == [[False, True] + [False] * 5]
    assert ranked.n_positive.tolist() == [2]


def test_fewer_items_than_the_cut_off(config):
    collector = RankingCollector(config)
    collector.eval_batch_collect(
        torch.tensor([[-torch.inf, 2.0, 3.0]]), None, torch.tensor([0]), torch.tensor([1]))
    ranked = collector.take_ranked()
    assert ranked.items.tolist() == [[2, 1, -1, -1, -1, -1, -1]]
    assert ranked.per_user(["Recall"], [7])["recall@7"].tolist() == [1.0]


@pytest.mark.parametrize(("name", "metric", "constant"), [
    ("ItemCoverage", ItemCoverage, "data.num_items"),
    ("AveragePopularity", AveragePopularity, "data.count_items"),
    ("GiniIndex", GiniIndex, "data.num_items"),
])
def test_metrics_that_need_counts_of_the_data(config, name, metric, constant):
    """RecBole's collector moves everything to the CPU, which a number or a counter cannot do."""
    settings = {**config.final_config_dict, "metrics": ["Recall", name]}
    config.final_config_dict.update(settings)
    experiment = prepare(config)
    collector = RankingCollector(config)
    collector.data_collect(experiment.train_data)
    evaluator = RankingEvaluator(config, collector)
    results = []
    for seed in (1, 2):  # twice: what belongs to the data stays
        scores, row, item = batch(seed)
        collector.eval_batch_collect(scores, None, row, item)
        results.append(evaluator.evaluate(collector.get_data_struct()))
        data = DataStruct()
        data.set("rec.items", scores.topk(7).indices)
        data.set(constant, collector.data_struct[constant])
        expected = metric(config).calculate_metric(data)
        assert {k: results[-1][k] for k in expected} == pytest.approx(expected)
        assert 0 <= results[-1]["recall@7"] <= 1
    assert results[0] != results[1]


def test_a_single_process_gathers_nothing():
    assert gather_ranked(None, {"single_spec": True}) is None
