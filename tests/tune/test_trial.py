"""One trial: the training that ``train`` does, without a look at the test part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diffkg_recbole import quick_start
from diffkg_recbole.errors import UserError
from diffkg_recbole.quick_start import run_recbole
from diffkg_recbole.tune.search import Search, make_search
from diffkg_recbole.tune.study import Drawn, Study
from diffkg_recbole.tune.trial import DataChangedError, Result, train
from tests.tune.searches import write_workplace


@pytest.fixture
def words(tmp_path, monkeypatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return write_workplace(tmp_path)[2:]


def search_for(words: list[str], *more: str, model: str = "BPR") -> Search:
    return make_search(model, "synthetic", (), [*words, *more])


def trained(search: Search, settings: dict, report=lambda epoch, score: True) -> Result:
    study = Study(search, Path("runs"))
    study.path.parent.mkdir(exist_ok=True)
    return train(study.task(Drawn(None, 0, settings)), report)


def test_a_trial_is_the_training_of_a_run(words):
    seen = []
    search = search_for(words, "--epochs=4")
    settings = {"learning_rate": 0.03, "embedding_size": 8}
    result = trained(search, settings, lambda epoch, score: seen.append((epoch, score)) or True)
    whole = run_recbole("BPR", "synthetic", config_dict={**search.settings, **settings},
                        command_line=words, store="runs")
    assert result.outcome == "finished"
    assert result.score == whole["best_valid_score"]
    assert result.valid == dict(whole["best_valid_result"])
    assert [epoch for epoch, _ in seen] == [0, 1, 2, 3]
    assert (result.epochs_run, result.score) == (4, max(score for _, score in seen))
    assert seen[result.epoch][1] == result.score


def test_a_trial_leaves_nothing_behind(words):
    trained(search_for(words), {"learning_rate": 0.03, "embedding_size": 8})
    assert sorted(path.name for path in Path().iterdir()) == ["configs", "data", "runs"]


class Untouchable:
    """A loader whose data may be counted, and neither walked through nor asked for a batch."""

    def __init__(self, loader) -> None:
        self._dataset = loader._dataset

    def __getattr__(self, name):
        raise AssertionError(f"the test part was asked for {name}")

    def __iter__(self):
        raise AssertionError("the test part was walked through")

    def __len__(self):
        raise AssertionError("the test part was measured")


@pytest.fixture
def guarded_test_part(monkeypatch):
    prepared = quick_start.data_preparation

    def with_guard(config, dataset):
        train_data, valid_data, test_data = prepared(config, dataset)
        return train_data, valid_data, Untouchable(test_data)

    monkeypatch.setattr(quick_start, "data_preparation", with_guard)


def test_the_test_part_is_never_touched(words, guarded_test_part):
    settings = {"learning_rate": 0.03, "embedding_size": 8}
    search = search_for(words)
    assert trained(search, settings).outcome == "finished"
    with pytest.raises(AssertionError, match="the test part"):  # the guard does guard
        run_recbole("BPR", "synthetic", config_dict=settings, command_line=words, store=None)


@pytest.mark.parametrize("model", ["BPR", "KGAT"])
def test_other_test_pairs_change_no_score(words, model):
    Path("configs/tuning/KGAT.yaml").write_text("reg_weight: {log: [1e-6, 1e-3]}\n")
    settings = {"learning_rate": 0.03}
    before = trained(search_for(words, "--learning_rate=0.03", model=model), settings)
    path = Path("data/synthetic/synthetic.test.inter")
    head, *rows = path.read_text().splitlines()
    users, items = zip(*(row.split("\t") for row in rows))
    others = np.random.default_rng(0).permutation(items)
    path.write_text("\n".join([head, *map("\t".join, zip(users, others))]) + "\n")
    search = search_for(words, "--learning_rate=0.03", model=model)
    after = trained(search, settings)
    assert search.fingerprint["counts"]["test"] > 0
    assert (after.score, after.valid) == (before.score, before.valid)


def test_a_trial_ends_when_it_is_told_to(words):
    result = trained(search_for(words), {"learning_rate": 0.03, "embedding_size": 8},
                     lambda epoch, score: False)
    assert (result.outcome, result.epochs_run, result.epoch) == ("pruned", 1, 0)
    assert result.valid["recall@20"] == result.score


def test_a_loss_that_is_no_number_is_an_outcome(words):
    result = trained(search_for(words), {"learning_rate": 1e30, "embedding_size": 8})
    assert (result.outcome, result.score, result.epochs_run) == ("diverged", None, 0)


def test_a_trial_on_other_data_stops_the_search(words):
    search = search_for(words)
    path = Path("data/synthetic/synthetic.train.inter")
    path.write_text("\n".join(path.read_text().splitlines()[:-5]) + "\n")
    with pytest.raises(DataChangedError, match="no longer those of the search"):
        trained(search, {"learning_rate": 0.03, "embedding_size": 8})


@pytest.mark.parametrize(("word", "message"), [
    ("--eval_protocol=authors", "chooses on the test part"),
    ("--eval_step=0", "needs validation scores"),
    ("--learning_rat=1", "did you mean 'learning_rate'"),
    ("--epochs=-1", "'epochs'"),
])
def test_a_search_that_cannot_choose_fairly_is_refused(words, word, message):
    with pytest.raises(UserError, match=message):
        search_for(words, word)


def test_a_given_key_is_not_searched(words):
    search = search_for(words, "--learning_rate=0.05")
    assert [parameter.key for parameter in search.space.parameters] == ["embedding_size"]
    assert search.configuration["learning_rate"] == 0.05
    assert search.defaults == {"embedding_size": 64}
