"""KGAT's attention against its definition, and its way through a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recbole.model.knowledge_aware_recommender.kgat import KGAT as RecBoleKGAT

from tests.tiny_models import (
    experiment,
    full_scores,
    interactions,
    numpy64,
    randomise,
    triples,
)


@pytest.fixture
def exp():
    # Reverse triples give most entities several relations, and some pairs parallel edges.
    return experiment("KGAT", kg_reverse_r=True, kg_embedding_size=6, layers=[8, 4])


def collaborative_edges(exp, model):
    """(head, relation, tail) of the collaborative graph; entities come after the users."""
    n, ui = model.n_users, model.n_relations - 1
    edges = [(u, ui, n + i) for u, i in interactions(exp.train)]
    edges += [(t, r, h) for h, r, t in edges]
    return edges + [(n + h, r, n + t) for h, r, t in triples(exp.train)]


def test_initial_attention_is_one_over_the_degree_by_relation(exp):
    model = exp.build_model()
    edges = collaborative_edges(exp, model)
    size = model.n_users + model.n_entities
    degree = np.zeros((size, model.n_relations))
    for head, relation, _ in edges:
        degree[head, relation] += 1
    wanted = np.zeros((size, size))
    for head, relation, tail in edges:
        wanted[head, tail] += 1 / degree[head, relation]
    assert len(edges) > np.count_nonzero(wanted), "the test needs parallel edges"
    np.testing.assert_allclose(model.A_in.dense().numpy(), wanted, rtol=1e-6)


def updated_attention(exp, model):
    """Softmax over distinct tails of ⟨t W_r, tanh(h W_r + e_r)⟩, parallel edges summed first."""
    nodes = np.concatenate([numpy64(model.user_embedding.weight),
                            numpy64(model.entity_embedding.weight)])
    relations = numpy64(model.relation_embedding.weight)
    matrices = numpy64(model.trans_w.weight).reshape(-1, model.embedding_size,
                                                     model.kg_embedding_size)
    score: dict[tuple[int, int], float] = {}
    for head, r, tail in collaborative_edges(exp, model):
        value = (nodes[tail] @ matrices[r]) @ np.tanh(nodes[head] @ matrices[r] + relations[r])
        score[head, tail] = score.get((head, tail), 0.0) + value
    wanted = np.zeros((len(nodes), len(nodes)))
    for head in {h for h, _ in score}:
        row = {t: s for (h, t), s in score.items() if h == head}
        weights = np.exp(np.array(list(row.values())) - max(row.values()))
        wanted[head, list(row)] = weights / weights.sum()
    return wanted


@pytest.mark.parametrize("edges_per_block", [1 << 17, 7])
def test_updated_attention(exp, monkeypatch, edges_per_block):
    monkeypatch.setattr("diffkg_recbole.model.baselines.kgat._EDGES_PER_BLOCK", edges_per_block)
    model = exp.build_model()
    randomise(model)
    with torch.no_grad():
        model.update_attentive_A()
    np.testing.assert_allclose(model.A_in.dense().numpy(), updated_attention(exp, model),
                               rtol=2e-5, atol=1e-7)


def test_forward_with_the_attention_matrix(exp):
    """RecBole's layers see the same matrix: users and entities through one 'bi' layer."""
    model = exp.build_model().eval()
    randomise(model)
    x = np.concatenate([numpy64(model.user_embedding.weight),
                        numpy64(model.entity_embedding.weight)])
    parts = [x]
    for layer in model.aggregator_layers:
        side = model.A_in.dense().double().numpy() @ x
        w1, b1, w2, b2 = (numpy64(p) for p in (layer.W1.weight, layer.W1.bias,
                                               layer.W2.weight, layer.W2.bias))
        leaky = lambda z: np.where(z > 0, z, 0.01 * z)  # noqa: E731
        x = leaky((x * side) @ w2.T + b2) + leaky((x + side) @ w1.T + b1)
        parts.append(x / np.linalg.norm(x, axis=1, keepdims=True))
    wanted = np.concatenate(parts, axis=1)
    users, entities = model.forward()
    np.testing.assert_allclose(numpy64(torch.cat([users, entities])), wanted, rtol=1e-4, atol=1e-5)


def test_projections_equal_recboles(exp):
    model = exp.build_model()
    randomise(model)
    generator = torch.Generator().manual_seed(1)
    h, pos_t, neg_t = (torch.randint(model.n_entities, (50,), generator=generator)
                       for _ in range(3))
    r = torch.randint(model.n_relations, (50,), generator=generator)
    ours = model._get_kg_embedding(h, r, pos_t, neg_t)
    theirs = RecBoleKGAT._get_kg_embedding(model, h, r, pos_t, neg_t)
    for mine, other in zip(ours, theirs):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


def test_other_weights_bring_their_attention_along(exp):
    trained = exp.build_model()
    randomise(trained)
    with torch.no_grad():
        trained.update_attentive_A()
    trained.eval()
    users = torch.arange(1, 9)
    wanted = full_scores(trained, users)
    fresh = exp.build_model().eval()
    stale = full_scores(fresh, users)
    fresh.load_state_dict(trained.state_dict())
    fresh.load_other_parameter(trained.other_parameter())
    torch.testing.assert_close(fresh.A_in.values, trained.A_in.values)
    assert torch.equal(full_scores(fresh, users), wanted)
    assert not torch.allclose(stale, wanted)
    assert "restore_user_e" not in trained.other_parameter()


def test_training_goes_on_with_the_saved_attention(exp, tmp_path):
    """Three epochs at once, and two plus one from a checkpoint, end in the same model."""
    def trainer(epochs):
        exp.config["epochs"] = epochs
        exp.config["checkpoint_dir"] = str(tmp_path / "saved")
        for loader in (exp.train_data.general_dataloader, exp.train_data.kg_dataloader):
            loader.generator.manual_seed(0)
        made = exp.build_trainer(exp.build_model())
        made.last_file = tmp_path / "last.pth"
        return made

    whole = trainer(3)
    whole.fit(exp.train_data, exp.valid_data, saved=False)
    first = trainer(2)
    first.fit(exp.train_data, exp.valid_data, saved=False)
    second = trainer(3)
    second.resume_checkpoint(tmp_path / "last.pth")
    second.fit(exp.train_data, exp.valid_data, saved=False)
    torch.testing.assert_close(second.model.attention, whole.model.attention)
    torch.testing.assert_close(second.model.entity_embedding.weight,
                               whole.model.entity_embedding.weight)
