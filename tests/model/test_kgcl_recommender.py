"""KGCL on RecBole's side: ids, prediction, schedule, checkpoints, settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

import diffkg_recbole
from diffkg_recbole.config import Config
from diffkg_recbole.config.config import config_folder
from diffkg_recbole.errors import ConfigurationError
from diffkg_recbole.model.kgcl import KGCLSettings
from diffkg_recbole.quick_start import evaluate_checkpoint, prepare
from diffkg_recbole.trainer.kgcl import KGCLSchedule
from tests.data.synthetic import write_synthetic

FAST = {"epochs": 2, "embedding_size": 8, "train_batch_size": 64, "learning_rate": 0.01}


@pytest.fixture
def values(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return {**write_synthetic(tmp_path / "data"), **FAST}


def experiment(values, **extra):
    return prepare(Config("KGCL", "synthetic", config_dict={**values, **extra}))


def run(values, **extra):
    config = {**values, **extra}
    return diffkg_recbole.run("KGCL", "synthetic", config_dict=config, store="runs")


def folder() -> Path:
    (path,) = (p for p in Path("runs").iterdir() if not p.name.startswith("."))
    return path


def epochs() -> list[dict]:
    return [json.loads(line) for line in (folder() / "epochs.jsonl").read_text().splitlines()]


# ---- ids and prediction -----------------------------------------------------------------------


def test_ids_are_shifted_by_one_and_padding_has_no_row(values):
    exp = experiment(values)
    network = exp.build_model().network
    train = exp.train
    assert len(network.node_embedding) == (train.user_num - 1) + (train.entity_num - 1)
    assert len(network.relation_embedding) == 2 * (train.relation_num - 2)
    pairs = set(zip(network.interactions.user.tolist(), network.interactions.item.tolist()))
    inter = train.inter_feat
    assert pairs == set(
        zip((inter["user_id"] - 1).tolist(), (inter["item_id"] - 1).tolist())
    )
    edges = set(zip(network.graph.head.tolist(), network.graph.tail.tolist()))
    for head, tail in zip(train.head_entities - 1, train.tail_entities - 1):
        assert (head, tail) in edges
        assert (tail, head) in edges
    assert network.graph.head.min() >= 0


def test_full_sort_scores_equal_pairwise_scores_and_never_name_padding(values):
    exp = experiment(values)
    model = exp.build_model().eval()
    batch = next(iter(exp.test_data))[0]
    scores = model.full_sort_predict(batch).view(len(batch), -1)
    assert scores.shape[1] == exp.train.item_num
    assert torch.isneginf(scores[:, 0]).all()
    with torch.no_grad():
        users, items = model.network()
    expected = users[batch["user_id"] - 1] @ items.T
    torch.testing.assert_close(scores[:, 1:], expected, rtol=1e-5, atol=1e-6)
    for item in (1, 7, exp.train.item_num - 1):
        batch.interaction["item_id"] = torch.full((len(batch),), item)
        torch.testing.assert_close(model.predict(batch), scores[:, item], rtol=1e-5, atol=1e-6)


def test_embeddings_are_computed_once_per_evaluation(values, monkeypatch):
    exp = experiment(values)
    model = exp.build_model().eval()
    batch = next(iter(exp.test_data))[0]
    calls = []
    represent = model.network.represent
    monkeypatch.setattr(
        model.network, "represent", lambda *a, **k: calls.append(1) or represent(*a, **k)
    )
    before = model.full_sort_predict(batch)
    assert torch.equal(model.full_sort_predict(batch), before)
    assert len(calls) == 1
    assert not any(part.requires_grad for part in model._ranked)
    model.train()
    with torch.no_grad():
        model.network.node_embedding.normal_()
    model.eval()
    assert not torch.allclose(model.full_sort_predict(batch), before)
    assert len(calls) == 2
    model.load_state_dict(exp.build_model().state_dict())
    torch.testing.assert_close(model.full_sort_predict(batch), before)


# ---- schedule ---------------------------------------------------------------------------------


def test_two_epochs_with_falling_losses(values):
    result = run(values, epochs=6)
    rows = epochs()
    assert set(rows[0]["losses"]) == {"bpr", "l2", "contrastive", "transe"}
    assert {"views", "transe"} <= set(rows[0]["seconds"])
    for name in ("bpr", "contrastive", "transe"):
        losses = [row["losses"][name] for row in rows]
        assert losses[1] < losses[0], name
        assert losses[-1] < losses[1], name
    # two tastes, 20 of 60 items: chance is about a third, knowing the taste gives two thirds
    assert result["test_result"]["recall@20"] > 0.45


def test_views_change_between_epochs_and_stay_within_one(values, monkeypatch):
    seen = []
    losses = diffkg_recbole.model.kgcl.KGCLNetwork.recommender_losses

    def watch(self, *batch):
        seen.append(self.views)
        return losses(self, *batch)

    monkeypatch.setattr(diffkg_recbole.model.kgcl.KGCLNetwork, "recommender_losses", watch)
    exp = experiment(values)
    trainer = exp.build_trainer(exp.build_model())
    trainer.fit(exp.train_data, saved=False)
    assert len(seen) == 2 * len(exp.train_data)
    first, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert all(views is first[0] for views in first)
    assert all(views is second[0] for views in second)
    assert first[0] is not second[0]


def test_transe_trains_the_embeddings_alone_with_an_optimizer_of_its_own(values):
    exp = experiment(values)
    model = exp.build_model()
    trainer = exp.build_trainer(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    loss = trainer.train_translation(0)
    assert loss > 0
    changed = {name for name, value in model.state_dict().items()
               if not torch.equal(value, before[name])}
    assert changed == {"network.node_embedding", "network.relation_embedding"}
    n_users = model.network.interactions.n_users
    users = model.network.user_embedding.detach()
    assert torch.equal(users, before["network.node_embedding"][:n_users])
    assert trainer.optimizer.state == {}
    assert len(trainer.translation_optimizer.state) == 2


@pytest.mark.parametrize("kg", ["none", "random"])
def test_graph_controls_run(values, kg):
    result = run(values, kg=kg)
    assert 0 <= result["test_result"]["recall@20"] <= 1
    assert all(row["losses"]["contrastive"] > 0 for row in epochs())


# ---- checkpoints ------------------------------------------------------------------------------


def test_a_reloaded_checkpoint_scores_exactly_as_before(values):
    result = run(values)
    path = folder() / "model.pth"
    assert evaluate_checkpoint(path) == dict(result["test_result"])
    state = torch.load(path, weights_only=True)["training_state"]
    assert set(state) == {"translation_optimizer", "draws"}
    assert len(state["translation_optimizer"]["state"]) == 2


class Killed(BaseException):
    """Stands for a process that ends without warning."""


def test_a_killed_run_goes_on_exactly_where_it_stopped(values, monkeypatch):
    whole = run(values, epochs=4)
    whole_losses = [row["losses"] for row in epochs()]
    whole_state = torch.load(folder() / "model.pth", weights_only=True)["state_dict"]
    Path("runs").rename("uninterrupted")
    train_translation = KGCLSchedule.train_translation

    def die_in_epoch_2(self, epoch, show=False):
        if epoch == 2:
            raise Killed
        return train_translation(self, epoch, show)

    with monkeypatch.context() as patch:
        patch.setattr(KGCLSchedule, "train_translation", die_in_epoch_2)
        with pytest.raises(Killed):
            run(values, epochs=4)
    assert (folder() / "last.pth").is_file()
    assert run(values, epochs=4) == whole
    assert [row["losses"] for row in epochs()] == whole_losses
    state = torch.load(folder() / "model.pth", weights_only=True)["state_dict"]
    for name, value in whole_state.items():
        assert torch.equal(value, state[name]), name


# ---- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "value"), [
    ("mean_keep_rate", 0), ("mean_keep_rate", 1.1), ("temperature", 0), ("edge_dropout", 1),
    ("message_dropout", -0.1), ("subset_share", 0), ("n_hops", -1), ("n_layers", 1.5),
    ("embedding_size", 0), ("contrastive_weight", -1), ("translation_reg_weight", "much"),
])
def test_values_out_of_range_are_named(values, key, value):
    with pytest.raises(ConfigurationError, match=f"'{key}'"):
        Config("KGCL", "synthetic", config_dict={**values, key: value})


def test_the_shipped_defaults_are_those_of_the_settings(values):
    config = Config("KGCL", "synthetic", config_dict={
        key: value for key, value in values.items() if key not in FAST
    })
    assert KGCLSettings.from_config(config) == KGCLSettings()
    assert (config["learning_rate"], config["train_batch_size"]) == (1e-3, 1024)


@pytest.mark.parametrize(("dataset", "mean_keep_rate", "temperature", "contrastive_weight"), [
    ("alibaba", 0.7, 0.2, 0.1), ("last-fm", 0.5, 0.1, 0.1), ("mind", 0.6, 0.2, 0.1),
])
def test_the_three_settings_per_dataset(
    values, dataset, mean_keep_rate, temperature, contrastive_weight
):
    path = config_folder() / "models" / "KGCL" / f"{dataset}.yaml"
    config = Config("KGCL", "synthetic", [str(path)], {
        key: value for key, value in values.items() if key not in FAST
    })
    assert KGCLSettings.from_config(config) == KGCLSettings(
        mean_keep_rate=mean_keep_rate, temperature=temperature,
        contrastive_weight=contrastive_weight,
    )
    lines = path.read_text().splitlines()
    assert all("#" in line for line in lines if line)  # every value with its reason
    assert set(yaml.safe_load(path.read_text())) == {
        "mean_keep_rate", "temperature", "contrastive_weight",
    }
