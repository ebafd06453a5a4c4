"""Models without a graph: counts, similarities, histories, and what a checkpoint holds."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from recbole.model.general_recommender.sgl import SGL as RecBoleSGL

from diffkg_recbole.trainer.checkpoint import load_checkpoint, save_checkpoint
from tests.tiny_models import (
    build,
    experiment,
    full_scores,
    interactions,
    numpy64,
    pair_scores,
    randomise,
    recbole_model,
)

USERS = torch.tensor([4, 1, 77])


def interaction_matrix(exp):
    x = np.zeros((exp.train.user_num, exp.train.item_num))
    for user, item in interactions(exp.train):
        x[user, item] = 1.0
    return x


def test_pop_counts_training_interactions():
    exp = experiment("Pop")
    model = exp.build_model()
    counts = Counter(item for _, item in interactions(exp.train))
    wanted = np.array([counts[i] for i in range(model.n_items)]) / max(counts.values())
    for row in full_scores(model, USERS):
        np.testing.assert_allclose(numpy64(row), wanted)
    np.testing.assert_allclose(numpy64(pair_scores(model, USERS))[0], wanted, rtol=1e-6)


@pytest.mark.parametrize("method", ["item", "user"])
@pytest.mark.parametrize("shrink", [0.0, 5.0])
def test_itemknn_is_cosine_similarity_to_the_nearest(method, shrink):
    exp = experiment("ItemKNN", k=7, knn_method=method, shrink=shrink)
    x = interaction_matrix(exp)
    y = x if method == "item" else x.T
    norm = np.sqrt((y**2).sum(axis=0))
    similarity = y.T @ y / (np.outer(norm, norm) + shrink + 1e-6)
    np.fill_diagonal(similarity, 0.0)
    # The k most similar, by column; equal similarities at the edge make the set ambiguous.
    kept = np.zeros_like(similarity)
    ambiguous = np.zeros(len(similarity), dtype=bool)
    for j, column in enumerate(similarity.T):
        order = np.argsort(-column, kind="stable")
        kept[order[:7], j] = column[order[:7]]
        ambiguous[j] = abs(column[order[6]] - column[order[7]]) < 1e-6
    model = exp.build_model()
    ours = numpy64(full_scores(model, torch.arange(model.n_users)))
    wanted = y @ kept if method == "item" else (y @ kept).T
    sure = ~ambiguous
    assert sure.sum() > 20
    if method == "item":
        np.testing.assert_allclose(ours[:, sure], wanted[:, sure], rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_allclose(ours[sure], wanted[sure], rtol=1e-4, atol=1e-5)


def test_ease_closed_form():
    exp = experiment("EASE", reg_weight=20.0)
    x = interaction_matrix(exp)
    p = np.linalg.inv(x.T @ x + 20.0 * np.eye(x.shape[1]))
    b = -p / np.diag(p)
    np.fill_diagonal(b, 0.0)
    model = exp.build_model()
    np.testing.assert_allclose(numpy64(full_scores(model, USERS)), x[USERS] @ b, rtol=1e-3,
                               atol=1e-4)


def slim_objective(x, j, w, alpha, l1_ratio):
    residual = x[:, j] - x @ w
    return ((residual**2).sum() / (2 * len(x)) + alpha * l1_ratio * np.abs(w).sum()
            + alpha * (1 - l1_ratio) / 2 * (w**2).sum())


@pytest.mark.parametrize("hide_item", [True, False])
def test_slim_solves_one_elastic_net_per_item(hide_item):
    """No coordinate step improves the objective, and an item's own coefficient is zero."""
    settings = {"alpha": 0.01, "l1_ratio": 0.1, "hide_item": hide_item}
    exp = experiment("SLIMElastic", **settings)
    x = interaction_matrix(exp)
    w = exp.build_model().right.toarray()
    assert (w >= 0).all()
    assert (np.diag(w) == 0).all() == hide_item
    assert np.count_nonzero(w) > 100
    for j in range(1, x.shape[1]):
        usable = np.flatnonzero(np.arange(x.shape[1]) != j) if hide_item else np.arange(x.shape[1])
        correlation = x.T @ (x[:, j] - x @ w[:, j]) / len(x)
        slope = correlation - 0.01 * (1 - 0.1) * w[:, j]
        active = usable[w[usable, j] > 0]
        np.testing.assert_allclose(slope[active], 0.01 * 0.1, atol=2e-3)
        assert (slope[usable] <= 0.01 * 0.1 + 2e-3).all()
    theirs = np.asarray(recbole_model("SLIMElastic", exp).item_similarity.todense())
    for j in range(1, x.shape[1]):
        mine, other = (slim_objective(x, j, m[:, j], 0.01, 0.1) for m in (w, theirs))
        assert mine == pytest.approx(other, rel=2e-3)


@pytest.mark.parametrize("name", ["ItemKNN", "EASE"])
def test_similarity_models_score_as_recboles(name):
    exp = experiment(name)
    model, theirs = exp.build_model(), recbole_model(name, exp)
    torch.testing.assert_close(full_scores(model, USERS), full_scores(theirs, USERS))
    torch.testing.assert_close(pair_scores(model, USERS), pair_scores(theirs, USERS))


@pytest.mark.parametrize("name", ["ItemKNN", "EASE", "SLIMElastic", "Pop"])
def test_a_model_without_training_is_in_its_checkpoint(name, tmp_path):
    """Another split of the same data, then the first one's checkpoint: the first one's scores."""
    model = build(name)
    wanted = full_scores(model, USERS)
    state = {"state_dict": model.state_dict(), "other_parameter": model.other_parameter()}
    save_checkpoint(state, tmp_path / "model.pth")
    other = build(name)
    if name == "Pop":
        other.item_cnt = torch.zeros_like(other.item_cnt)
    else:
        other.left, other.right = sp.csr_matrix(other.left.shape), np.zeros(other.right.shape)
    assert not torch.equal(full_scores(other, USERS).nan_to_num(), wanted)
    state = load_checkpoint(tmp_path / "model.pth")
    other.load_state_dict(state["state_dict"])
    other.load_other_parameter(state["other_parameter"])
    assert torch.equal(full_scores(other, USERS), wanted)


def test_multivae_goes_on_annealing():
    exp = experiment("MultiVAE")
    model = exp.build_model()
    for batch in exp.train_data:
        model.calculate_loss(batch)
    assert model.update > 0
    other = exp.build_model()
    other.load_other_parameter(model.other_parameter())
    assert other.update == model.update
    model.eval()
    torch.testing.assert_close(pair_scores(model, USERS), full_scores(model, USERS))


def test_diffrec_keeps_the_last_losses_of_every_step():
    """Batches of losses against a list per step."""
    model = build("DiffRec", steps=4, history_num_per_term=3)
    lists = [[] for _ in range(4)]
    generator = torch.Generator().manual_seed(0)
    for n in (1, 2, 5, 3, 0, 9, 30):
        steps = torch.randint(0, 4, (n,), generator=generator)
        losses = torch.rand(n, generator=generator)
        model.update_Lt_history(steps, losses)
        for step, loss in zip(steps.tolist(), losses.double().tolist()):
            lists[step] = [*lists[step], loss][-3:]
        assert model.Lt_count.tolist() == [len(entries) for entries in lists]
        padded = [entries + [0.0] * (3 - len(entries)) for entries in lists]
        np.testing.assert_array_equal(model.Lt_history.numpy(), padded)


def test_diffrec_history_equals_recboles():
    exp = experiment("DiffRec", history_num_per_term=4)
    model, theirs = exp.build_model(), recbole_model("DiffRec", exp)
    for seed in range(6):
        torch.manual_seed(seed)
        steps, losses = torch.randint(0, model.steps, (7,)), torch.rand(7)
        model.update_Lt_history(steps, losses)
        theirs.update_Lt_history(steps, losses)
    assert torch.equal(model.Lt_history, theirs.Lt_history)
    assert torch.equal(model.Lt_count, theirs.Lt_count)
    assert set(model.other_parameter()) == {"Lt_history", "Lt_count"}


@pytest.mark.parametrize("name", ["LightGCN", "SGL", "NGCF", "GCMC"])
def test_embeddings_of_an_evaluation_are_forgotten(name):
    """By other weights, by training and by the next evaluation; and no checkpoint holds them."""
    exp = experiment(name)
    model, other = exp.build_model().eval(), exp.build_model().eval()
    randomise(other, seed=9, scale=0.2)
    before, wanted = full_scores(model, USERS), full_scores(other, USERS)
    assert not torch.allclose(before, wanted)
    assert not set(model.other_parameter()) & set(model.cached)
    model.load_state_dict(other.state_dict())
    assert torch.equal(full_scores(model, USERS), wanted)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    assert torch.equal(full_scores(model, USERS), wanted)  # within one evaluation
    model.eval()
    assert not torch.allclose(full_scores(model, USERS), wanted)
    model.load_other_parameter({model.cached[0]: torch.zeros(1)})  # of a RecBole checkpoint
    assert getattr(model, model.cached[0]) is None


def test_sgl_contrast_equals_that_of_recbole():
    """Loss and gradients of RecBole's method, for a batch that repeats users and items."""
    model = build("SGL", ssl_tau=0.2, ssl_weight=0.3)
    theirs = RecBoleSGL.calc_ssl_loss
    torch.manual_seed(2)
    users, items = torch.randint(1, model.n_users, (60,)), torch.randint(1, model.n_items, (60,))
    assert max(len(users.unique()), len(items.unique())) < 60
    views = [torch.randn(n, 8, requires_grad=True)
             for n in (model.n_users, model.n_users, model.n_items, model.n_items)]
    results = []
    for method in (type(model).calc_ssl_loss, theirs):
        loss = method(model, users, items, *views)
        results.append([loss, *torch.autograd.grad(loss, views)])
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-5)
