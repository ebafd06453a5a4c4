"""KGCN and KGNN-LS: full-sort scores, labels and their propagation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffkg_recbole.model.baselines import kgcn
from diffkg_recbole.model.baselines.kgnnls import LabelTable
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


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def entity_vector(model, user, entity, depth):
    """An entity's vector in the user's graph after ``depth`` iterations, by recursion."""
    if depth == 0:
        return numpy64(model.entity_embedding.weight)[entity]
    u = numpy64(model.user_embedding.weight)[user]
    relations = numpy64(model.relation_embedding.weight)[model.adj_relation[entity].numpy()]
    weights = softmax((u * relations).mean(axis=1))
    neighbours = [entity_vector(model, user, e, depth - 1)
                  for e in model.adj_entity[entity].tolist()]
    mixed = np.mean([w * n for w, n in zip(weights, neighbours)], axis=0)
    own = entity_vector(model, user, entity, depth - 1)
    x = {"sum": own + mixed, "neighbor": mixed,
         "concat": np.concatenate([own, mixed])}[model.aggregator_class]
    layer = model.linear_layers[depth - 1]
    y = numpy64(layer.weight) @ x + numpy64(layer.bias)
    return np.tanh(y) if depth == model.n_iter else np.maximum(y, 0.0)


@pytest.mark.parametrize("aggregator", ["sum", "neighbor", "concat"])
@pytest.mark.parametrize("n_iter", [1, 2, 3])
def test_full_sort_equals_the_definition_and_the_pairs(aggregator, n_iter):
    model = build("KGCN", aggregator=aggregator, n_iter=n_iter, neighbor_sample_size=3)
    randomise(model)
    users = torch.tensor([2, 5, 9])
    scores = full_scores(model, users)
    torch.testing.assert_close(scores, pair_scores(model, users), rtol=1e-4, atol=1e-5)
    u = numpy64(model.user_embedding.weight)
    for row, item in [(0, 1), (1, 40), (2, model.n_items - 1)]:
        user = users[row].item()
        wanted = u[user] @ entity_vector(model, user, item, n_iter)
        assert scores[row, item].item() == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def test_scores_do_not_depend_on_the_block(monkeypatch):
    model = build("KGNNLS")
    users = torch.arange(1, 12)
    wanted = full_scores(model, users)
    monkeypatch.setattr(kgcn, "_NUMBERS_PER_BLOCK", 1)
    torch.testing.assert_close(full_scores(model, users), wanted)
    torch.testing.assert_close(pair_scores(model, users), wanted)


# ---- KGNN-LS ----------------------------------------------------------------------------------


def test_labels_are_looked_up():
    table = LabelTable(torch.tensor([30, 10]), torch.tensor([20]))
    keys = torch.tensor([[10, 20, 30], [9, 31, 15]])
    assert table.lookup(keys).tolist() == [[1.0, 0.0, 1.0], [0.5, 0.5, 0.5]]


def test_table_holds_all_interactions_and_as_many_others():
    exp = experiment("KGNNLS")
    model = exp.build_model()
    table, offset = model.interaction_table, model.offset
    users, items = (torch.tensor(ids) for ids in zip(*interactions(exp.train)))
    positive = set(zip(users.tolist(), items.tolist()))
    assert (table.lookup(users * offset + items) == 1.0).all()
    negative = table.keys[table.labels == 0.0]
    pairs = set(zip((negative // offset).tolist(), (negative % offset).tolist()))
    assert not pairs & positive
    assert all(0 < u < model.n_users and 0 < i < model.n_items for u, i in pairs)
    # Repeated draws merge: n draws out of m cells hit about m (1 - exp(-n / m)) of them.
    cells = (model.n_users - 1) * (model.n_items - 1) - len(positive)
    expected = cells * (1 - np.exp(-len(positive) / cells))
    assert len(pairs) == pytest.approx(expected, rel=0.05)


def test_keys_of_many_users_and_entities_do_not_overflow():
    model = build("KGNNLS")
    model.n_entities = 3_000_000
    user, item = torch.tensor([200_000]), torch.tensor([2_999_999])
    table, offset = model.get_interaction_table(user, item, torch.ones(1))
    assert table.lookup(user * offset + item).tolist() == [1.0]
    assert table.keys.item() > 2**31


def propagated_label(model, table, user, item, entity, depth, relations, u):
    """Label of an entity by recursion over its sampled neighbours; ``item`` is held out."""
    known = 0.5 if entity == item else table.get((user, entity), 0.5)
    if depth == 0 or known != 0.5:
        return known
    weights = softmax((u * relations[model.adj_relation[entity].numpy()]).mean(axis=1))
    below = [propagated_label(model, table, user, item, e, depth - 1, relations, u)
             for e in model.adj_entity[entity].tolist()]
    return np.mean([w * label for w, label in zip(weights, below)])


@pytest.mark.parametrize("n_iter", [1, 2])
def test_label_propagation(n_iter):
    exp = experiment("KGNNLS", n_iter=n_iter, neighbor_sample_size=3)
    model = exp.build_model().eval()
    randomise(model)
    table = {(k // model.offset, k % model.offset): v for k, v in
             zip(model.interaction_table.keys.tolist(), model.interaction_table.labels.tolist())}
    users, items = (torch.tensor(ids[:60]) for ids in zip(*interactions(exp.train)))
    model.batch_size = len(users)
    entities, relations = model.get_neighbors(items)
    ours = model.label_smoothness_predict(model.user_embedding(users), users, entities, relations)
    embeddings = numpy64(model.relation_embedding.weight)
    of_users = numpy64(model.user_embedding.weight)
    wanted = [propagated_label(model, table, u, i, i, n_iter, embeddings, of_users[u])
              for u, i in zip(users.tolist(), items.tolist())]
    np.testing.assert_allclose(numpy64(ours), wanted, rtol=1e-5, atol=1e-6)
    if n_iter == 2:
        assert len(set(np.round(wanted, 6))) > 10, "labels reach items only by the second hop"


def test_label_propagation_equals_recboles():
    exp = experiment("KGNNLS", n_iter=2)
    model, theirs = exp.build_model(), recbole_model("KGNNLS", exp)
    randomise(model)
    theirs.load_state_dict(model.state_dict())
    theirs.load_other_parameter(model.other_parameter())
    keys, labels = model.interaction_table.keys, model.interaction_table.labels
    again = (keys // model.offset) * theirs.offset + keys % model.offset
    theirs.interaction_table = dict(zip(again.tolist(), labels.tolist()))
    users, items = (torch.tensor(ids[:80]) for ids in zip(*interactions(exp.train)))
    target = torch.ones(len(users))
    for either in (model, theirs):
        either.batch_size = len(users)
    ours = model.calculate_ls_loss(users, items, target)
    torch.testing.assert_close(ours, theirs.calculate_ls_loss(users, items, target))


def test_default_reaches_items():
    assert build("KGNNLS").n_iter == 2
