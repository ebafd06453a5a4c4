"""Faster products and full-sort scores: equal to the definitions and to RecBole's classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction

from diffkg_recbole.model.baselines import ktup, neumf
from diffkg_recbole.model.baselines.relation_groups import RelationGroups
from tests.tiny_models import (
    build,
    experiment,
    full_scores,
    numpy64,
    pair_scores,
    randomise,
    recbole_model,
)

USERS = torch.tensor([4, 1, 77])


def batch(model, n=90, seed=0):
    """Interactions with negatives and labels, and triples."""
    generator = torch.Generator().manual_seed(seed)
    def draw(low, high):
        return torch.randint(low, high, (n,), generator=generator)
    entities = {name: draw(1, model.n_entities) for name in ("head_id", "tail_id", "neg_tail_id")
                if hasattr(model, "n_entities")}
    return Interaction({
        "user_id": draw(1, model.n_users), "item_id": draw(1, model.n_items),
        "neg_item_id": draw(1, model.n_items), "label": draw(0, 2).float(), **entities,
        "relation_id": draw(1, 3),
    })


def assert_same_losses_and_gradients(ours, theirs, loss_name, interaction):
    """The loss (or its parts) and all gradients of two models with the same parameters."""
    theirs.load_state_dict(ours.state_dict())
    for model in (ours, theirs):
        model.zero_grad()
    parts = [getattr(model, loss_name)(interaction) for model in (ours, theirs)]
    parts = [p if isinstance(p, tuple) else (p,) for p in parts]
    for mine, other in zip(*parts):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)
    for losses in parts:
        sum(losses).sum().backward()
    other = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        wanted = other[name].grad
        assert (parameter.grad is None) == (wanted is None), name
        if wanted is not None:
            torch.testing.assert_close(parameter.grad, wanted, rtol=1e-3, atol=1e-5)


# ---- one matrix per relation -------------------------------------------------------------------


def test_products_by_relation():
    generator = torch.Generator().manual_seed(0)
    relation = torch.randint(0, 5, (40,), generator=generator)
    relation[relation == 3] = 4  # one relation is missing
    x = torch.randn(40, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    matrices = torch.randn(5, 6, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    groups = RelationGroups(relation, 5)
    wanted = np.stack([numpy64(x)[i] @ numpy64(matrices)[r] for i, r in enumerate(relation)])
    np.testing.assert_allclose(numpy64(groups.product(x, matrices)), wanted)
    assert torch.autograd.gradcheck(lambda a, b: groups.product(a, b), (x, matrices))


def test_products_of_an_empty_batch():
    groups = RelationGroups(torch.zeros(0, dtype=torch.int64), 5)
    assert groups.product(torch.zeros(0, 6), torch.randn(5, 6, 3)).shape == (0, 3)


def test_cke_equals_recboles():
    exp = experiment("CKE", kg_embedding_size=7)
    model, theirs = exp.build_model(), recbole_model("CKE", exp)
    randomise(model)
    assert_same_losses_and_gradients(model, theirs, "calculate_loss", batch(model))


# ---- CFKG, KTUP --------------------------------------------------------------------------------


@pytest.mark.parametrize("loss_function", ["inner_product", "transe"])
def test_cfkg_scores(loss_function):
    model = build("CFKG", loss_function=loss_function)
    randomise(model)
    u, e = numpy64(model.user_embedding.weight)[USERS], numpy64(model.entity_embedding.weight)
    wanted = u + numpy64(model.relation_embedding.weight)[-1]
    items = e[: model.n_items]
    scores = (wanted @ items.T if loss_function == "inner_product"
              else -np.linalg.norm(wanted[:, None] - items, axis=2))
    np.testing.assert_allclose(numpy64(full_scores(model, USERS)), scores, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(full_scores(model, USERS), pair_scores(model, USERS),
                               rtol=1e-4, atol=1e-4)


def ktup_score(model, user, item):
    """KTUP for one pair: project along the normal of the most likely preference."""
    table = {n: numpy64(getattr(model, f"{n}_embedding").weight) for n in
             ("user", "item", "entity", "pref", "relation", "pref_norm", "relation_norm")}
    u, i = table["user"][user], table["item"][item] + table["entity"][item]
    preferences = table["pref"] + table["relation"]
    chosen = np.argmax(preferences @ (u + i))
    r = preferences[chosen] / 2
    n = (table["pref_norm"] + table["relation_norm"])[chosen] / 2
    return -(((u - (u @ n) * n) + r - (i - (i @ n) * n)) ** 2).sum()


def test_ktup_scores(monkeypatch):
    model = build("KTUP")
    randomise(model, scale=0.3)
    scores = full_scores(model, USERS)
    wanted = np.array([[ktup_score(model, u, i) for i in range(model.n_items)]
                       for u in USERS.tolist()])
    np.testing.assert_allclose(numpy64(scores), wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(scores, pair_scores(model, USERS), rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(ktup, "_NUMBERS_PER_BLOCK", 1)
    torch.testing.assert_close(full_scores(model, USERS), scores)


def test_ktup_draws_preferences_in_training_alone():
    model = build("KTUP")
    logits = torch.randn(200, model.n_relations)
    assert torch.equal(model.st_gumbel_softmax(logits).argmax(1), logits.argmax(1))
    model.train()
    drawn = model.st_gumbel_softmax(logits)
    assert not torch.equal(drawn.argmax(1), logits.argmax(1))
    torch.testing.assert_close(drawn.sum(1), torch.ones(200))


@pytest.mark.parametrize("settings", [{"L1_flag": True}, {"use_st_gumbel": False}])
def test_ktup_falls_back_to_pairs(settings):
    model = build("KTUP", **settings)
    with pytest.raises(NotImplementedError):
        full_scores(model, USERS)
    assert pair_scores(model, USERS).isfinite().all()


def test_ktup_aligns_nothing_in_a_batch_without_items():
    exp = experiment("KTUP")
    model, theirs = exp.build_model(), recbole_model("KTUP", exp)
    interaction = batch(model)
    assert_same_losses_and_gradients(model, theirs, "calculate_kg_loss", interaction)
    for name in ("head_id", "tail_id", "neg_tail_id"):
        interaction.interaction[name] = torch.full((90,), model.n_entities - 1)
    assert theirs.calculate_kg_loss(interaction)[1].isnan()
    loss, align_loss = model.calculate_kg_loss(interaction)
    assert align_loss == 0.0
    (loss + align_loss).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


# ---- MKR ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("low_layers", [1, 2])
@pytest.mark.parametrize("loss", ["calculate_rs_loss", "calculate_kg_loss"])
def test_mkr_equals_recboles(low_layers, loss):
    exp = experiment("MKR", low_layers_num=low_layers)
    model, theirs = exp.build_model(), recbole_model("MKR", exp)
    randomise(model, scale=0.3)
    assert_same_losses_and_gradients(model, theirs, loss, batch(model))
    torch.testing.assert_close(full_scores(model, USERS), pair_scores(theirs, USERS),
                               rtol=1e-4, atol=1e-4)


def test_mkr_cross_and_compress():
    """v' = C w_vv + Cᵀ w_ev + b with the d × d matrix C = v eᵀ."""
    model = build("MKR")
    unit = model.cc_unit[0]
    randomise(unit)
    v, e = torch.randn(2, 9, model.embedding_size)
    new_v, new_e = unit([v, e])
    for row in range(9):
        c = np.outer(numpy64(v[row]), numpy64(e[row]))
        w = {n: (numpy64(getattr(unit, f"fc_{n}").weight)[0],
                 numpy64(getattr(unit, f"fc_{n}").bias)) for n in ("vv", "ev", "ve", "ee")}
        wanted_v = c @ w["vv"][0] + w["vv"][1] + c.T @ w["ev"][0] + w["ev"][1]
        wanted_e = c @ w["ve"][0] + w["ve"][1] + c.T @ w["ee"][0] + w["ee"][1]
        np.testing.assert_allclose(numpy64(new_v[row]), wanted_v, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(numpy64(new_e[row]), wanted_e, rtol=1e-4, atol=1e-5)


def test_mkr_without_inner_product_falls_back_to_pairs():
    model = build("MKR", use_inner_product=False)
    with pytest.raises(NotImplementedError):
        full_scores(model, USERS)
    assert pair_scores(model, USERS).isfinite().all()


# ---- NeuMF, GCMC -------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [(True, True), (True, False), (False, True)])
def test_neumf_scores(parts, monkeypatch):
    exp = experiment("NeuMF", mf_train=parts[0], mlp_train=parts[1])
    model, theirs = exp.build_model().eval(), recbole_model("NeuMF", exp)
    randomise(model, scale=0.2)
    theirs.load_state_dict(model.state_dict())
    scores = full_scores(model, USERS)
    torch.testing.assert_close(scores, pair_scores(theirs, USERS), rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(neumf, "_NUMBERS_PER_BLOCK", 1)
    torch.testing.assert_close(full_scores(model, USERS), scores)


@pytest.mark.parametrize("settings", [{}, {"accum": "sum", "sparse_feature": False}])
def test_gcmc_scores(settings):
    model = build("GCMC", **settings)
    for matrix in model.BiDecoder.weights:
        torch.nn.init.normal_(matrix)
    torch.testing.assert_close(full_scores(model, USERS), pair_scores(model, USERS),
                               rtol=1e-4, atol=1e-5)
    again = full_scores(model, USERS.flip(0)).flip(0)  # from the cache
    torch.testing.assert_close(again, full_scores(model, USERS))
