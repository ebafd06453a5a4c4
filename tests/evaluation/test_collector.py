"""What is collected from scores equals what RecBole collects, in every protocol of metrics."""

import numpy as np
import pytest
import torch
from recbole.evaluator import Collector

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


ALL = ["Recall", "ItemCoverage", "GiniIndex", "ShannonEntropy", "AveragePopularity",
       "TailPercentage", "GAUC"]


def test_metrics_that_need_counts_of_the_data(config):
    """The training part's counts come with every loader, also where nothing was trained."""
    config.final_config_dict.update({"metrics": ALL, "metric_decimal_place": 12})
    experiment = prepare(config)
    trainer = experiment.build_trainer(experiment.build_model())
    result = trainer.evaluate(experiment.test_data, load_best_model=False)
    trained = experiment.build_trainer(trainer.model)
    trained.eval_collector.data_collect(experiment.train_data)
    trained.evaluate(experiment.valid_data, load_best_model=False)
    assert trained.evaluate(experiment.test_data, load_best_model=False) == result
    names = {f"{name.lower()}@{k}" for name in ALL[:-1] for k in (3, 7)} | {"gauc"}
    assert set(result) == names
    train = experiment.train.inter_feat["item_id"].numpy()
    popularity = [np.mean([(train == item).sum() for item in items[:3]])
                  for items in trainer.evaluator.ranked.items]
    assert result["averagepopularity@3"] == pytest.approx(np.mean(popularity), abs=1e-9)
    assert 0.3 < result["gauc"] < 0.7  # nothing was learnt


def test_metrics_where_every_item_is_recommended(config):
    """[PAD] is no item: coverage reaches 1, and no inequality comes from it."""
    config.final_config_dict.update({"metrics": ALL, "metric_decimal_place": 6, "topk": [1]})
    collector = RankingCollector(config)
    collector.item_counts = np.array([0, *range(1, 41)])
    evaluator = RankingEvaluator(config, collector)
    scores = torch.full((80, 41), 0.0)
    scores[:, 0] = -torch.inf
    users = torch.arange(80)
    best = torch.cat((torch.arange(40), torch.arange(10).repeat(4))) + 1
    scores[users, best] = 1.0
    collector.eval_batch_collect(scores, None, users, best)
    result = evaluator.evaluate(collector.get_data_struct())
    times = [5] * 10 + [1] * 30
    assert result["itemcoverage@1"] == 1.0
    assert result["giniindex@1"] == pytest.approx(
        sum(abs(a - b) for a in times for b in times) / (2 * 40 * 80), abs=1e-6)
    assert result["shannonentropy@1"] == pytest.approx(
        -sum(n / 80 * np.log(n / 80) for n in times), abs=1e-6)
    assert result["gauc"] == 1.0


def test_equal_scores_do_not_depend_on_the_batch(config):
    """Of equal scores the lower item comes first."""
    collector = RankingCollector(config)
    collector.eval_batch_collect(torch.ones(2, 30), None, torch.tensor([0]), torch.tensor([3]))
    assert collector.take_ranked().items.tolist() == [list(range(7))] * 2


def test_a_single_process_gathers_nothing():
    assert gather_ranked(None, {"single_spec": True}) is None
