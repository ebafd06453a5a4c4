"""KGIN and MCCLK: aggregators, neighbour graph and contrast, against their definitions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.model.knowledge_aware_recommender.mcclk import MCCLK as RecBoleMCCLK
from torch.utils._python_dispatch import TorchDispatchMode

from diffkg_recbole.model.baselines import kgin, mcclk, nearest_neighbours
from diffkg_recbole.model.baselines.nearest_neighbours import (
    neighbour_graph,
    top_k_of_rows,
)
from diffkg_recbole.model.baselines.repeated_contrast import Occurrences, contrast
from diffkg_recbole.model.baselines.sparse_operator import SparseOperator
from diffkg_recbole.model.baselines.triple_messages import TripleMessages
from tests.tiny_models import (
    build,
    experiment,
    full_scores,
    numpy64,
    pair_scores,
    randomise,
    triples,
)

N, R, D, U = 7, 4, 5, 3
# A triple twice, two triples with one (relation, tail) pair, entities 5 and 6 without a triple.
EDGES = [(0, 1, 2), (0, 1, 2), (0, 2, 3), (1, 1, 2), (2, 3, 0), (4, 2, 3), (4, 1, 1), (3, 3, 3)]


@pytest.fixture
def graph():
    torch.manual_seed(0)
    order = torch.randperm(len(EDGES))
    head, relation, tail = torch.tensor(EDGES)[order].t()
    messages = TripleMessages(torch.stack([head, tail]), relation, N, R)
    return messages, torch.randn(N, D), torch.randn(R, D)


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def kept_edges(sample):
    t = sample.triples
    rows = zip(t.head.tolist(), t.relation.tolist(), t.tail.tolist(), sample.kept.tolist())
    return [(h, r, t) for h, r, t, kept in rows if kept]


def mean_messages(edges, entities, relations, attention):
    """Mean over the triples of each head of (α) e_t ⊙ e_r, by a loop over the triples."""
    result = np.zeros_like(entities)
    for head in range(len(entities)):
        mine = [(r, t) for h, r, t in edges if h == head]
        if not mine:
            continue
        messages = np.array([entities[t] * relations[r] for r, t in mine])
        if attention:
            norm = np.linalg.norm
            scores = [(norm(entities[head] * relations[r]) * norm(entities[t] * relations[r])) ** 2
                      for r, t in mine]
            messages = softmax(np.array(scores))[:, None] * messages
        result[head] = messages.mean(axis=0)
    return result


@pytest.mark.parametrize("rate", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("attention", [False, True])
def test_aggregated_entities(graph, rate, attention):
    messages, entities, relations = graph
    sample = messages.sample(rate)
    edges = kept_edges(sample)
    assert len(edges) == int(len(EDGES) * rate)
    if rate == 1.0:
        assert sorted(edges) == sorted(EDGES)
    aggregator = mcclk.Aggregator(item_only=True, attention=attention)
    ours = aggregator(entities, None, relations, sample, None, None)
    wanted = mean_messages(edges, numpy64(entities), numpy64(relations), attention)
    np.testing.assert_allclose(numpy64(ours), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("attention", [False, True])
def test_gradients_of_the_aggregation(graph, attention):
    """Finite differences, in float64."""
    messages, entities, relations = graph
    sample = messages.all()
    aggregator = mcclk.Aggregator(item_only=True, attention=attention)
    inputs = [t.double().requires_grad_() for t in (entities, relations)]
    assert torch.autograd.gradcheck(
        lambda e, r: aggregator(e, None, r, sample, None, None), inputs
    )


def interaction_matrix():
    dense = np.zeros((U, N), dtype=np.float32)
    dense[0, [1, 2]], dense[2, 3] = 0.5, 1.0
    import scipy.sparse as sp

    return dense.astype(np.float64), SparseOperator.from_scipy(sp.csr_matrix(dense))


def test_kgin_aggregator(graph):
    messages, entities, relations = graph
    users, latent, disen = torch.randn(U, D), torch.randn(2, D), torch.randn(2, R)
    dense, operator = interaction_matrix()
    new_entities, new_users = kgin.Aggregator()(
        entities, users, latent, relations, messages.all(), None, operator, disen
    )
    e, u, z, r, w = (numpy64(t) for t in (entities, users, latent, relations, disen))
    np.testing.assert_allclose(numpy64(new_entities), mean_messages(EDGES, e, r, False),
                               rtol=1e-5, atol=1e-6)
    own = dense @ e
    wanted = softmax(u @ z.T) @ (softmax(w) @ r) * own + own
    np.testing.assert_allclose(numpy64(new_users), wanted, rtol=1e-5, atol=1e-6)


def test_mcclk_aggregator(graph):
    messages, entities, relations = graph
    users = torch.randn(U, D)
    dense, operator = interaction_matrix()
    new_entities, new_users = mcclk.Aggregator()(
        entities, users, relations, messages.all(), None, operator
    )
    e, u, r = (numpy64(t) for t in (entities, users, relations))
    np.testing.assert_allclose(numpy64(new_entities), mean_messages(EDGES, e, r, True),
                               rtol=1e-5, atol=1e-6)
    own = dense @ e
    np.testing.assert_allclose(numpy64(new_users), own + softmax(u @ r.T) @ r * own,
                               rtol=1e-5, atol=1e-6)


def test_a_graph_without_triples_sends_nothing():
    empty = torch.zeros(2, 0, dtype=torch.int64)
    messages = TripleMessages(empty, empty[0], N, R)
    sample = messages.sample(0.5)
    assert torch.equal(sample.mean(torch.randn(N, D), torch.randn(R, D)), torch.zeros(N, D))


def test_samples_are_uniform(graph):
    torch.manual_seed(1)
    messages = graph[0]
    counts = torch.stack([messages.sample(0.5).kept for _ in range(4000)]).mean(dim=0)
    np.testing.assert_allclose(counts.numpy(), 0.5, atol=0.04)


@pytest.mark.parametrize("name", ["KGIN", "MCCLK"])
def test_models_hold_the_triples_and_score_by_all_of_them(name):
    exp = experiment(name)
    model = exp.build_model()
    assert sorted(kept_edges(model.gcn.edge_index)) == sorted(triples(exp.train))
    model.train()
    sample, _ = model.gcn.edge_sampling(model.gcn.edge_index, None, 0.5)
    assert len(kept_edges(sample)) == len(triples(exp.train)) // 2
    model.eval()
    users = torch.arange(1, 6)
    torch.testing.assert_close(pair_scores(model, users), pair_scores(model, users))
    torch.testing.assert_close(pair_scores(model, users), full_scores(model, users))


def test_kgin_user_and_entity_embeddings(monkeypatch):
    """Two hops of KGIN in NumPy: aggregate, normalise, add up."""
    exp = experiment("KGIN", mess_dropout_rate=0.0)
    model = exp.build_model().eval()
    randomise(model)
    e, u = numpy64(model.entity_embedding.weight), numpy64(model.user_embedding.weight)
    z, r = numpy64(model.latent_embedding.weight), numpy64(model.gcn.relation_embedding.weight)
    w, a = numpy64(model.gcn.disen_weight_att), model.interact_mat.dense().double().numpy()
    all_e, all_u = e.copy(), u.copy()
    for _ in range(model.context_hops):
        own = a @ e
        u_next = softmax(u @ z.T) @ (softmax(w) @ r) * own + own
        e = mean_messages(triples(exp.train), e, r, False)
        u = u_next / np.maximum(np.linalg.norm(u_next, axis=1, keepdims=True), 1e-12)
        e = e / np.maximum(np.linalg.norm(e, axis=1, keepdims=True), 1e-12)
        all_e, all_u = all_e + e, all_u + u
    with torch.no_grad():
        users, entities, _ = model.forward()
    np.testing.assert_allclose(numpy64(entities), all_e, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(numpy64(users), all_u, rtol=1e-4, atol=1e-5)


# ---- MCCLK's neighbour graph ------------------------------------------------------------------


@pytest.mark.parametrize("n", [64, 640])
@pytest.mark.parametrize("k", [1, 5, 64])
def test_top_k_of_rows_equals_topk(n, k):
    scores = torch.randn(30, n)
    value, column = top_k_of_rows(scores, k)
    wanted = scores.topk(k, dim=1)
    assert torch.equal(value, wanted.values)
    assert torch.equal(column, wanted.indices)


def dense_neighbour_graph(x, k):
    """D^-1/2 S D^-1/2 with the n × n matrix, as RecBole builds it."""
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    similarity = x @ x.T
    s = np.zeros_like(similarity)
    for row, best in enumerate(np.argsort(-similarity, axis=1)[:, :k]):
        s[row, best] = similarity[row, best]
    scale = s.sum(axis=1) ** -0.5
    return scale[:, None] * s * scale


@pytest.mark.parametrize("similarities_per_block", [1 << 24, 1000, 1])
def test_neighbour_graph_in_blocks(monkeypatch, similarities_per_block):
    monkeypatch.setattr(nearest_neighbours, "_SIMILARITIES_PER_BLOCK", similarities_per_block)
    torch.manual_seed(0)
    x = torch.randn(203, 6)
    wanted = dense_neighbour_graph(numpy64(x), 7)
    np.testing.assert_allclose(numpy64(neighbour_graph(x, 7).to_dense()), wanted,
                               rtol=1e-4, atol=1e-6)
    rows = torch.tensor([0, 3, 50, 202])
    some = numpy64(neighbour_graph(x, 7, rows).to_dense())
    np.testing.assert_allclose(some[rows], wanted[rows], rtol=1e-4, atol=1e-6)
    assert np.count_nonzero(some) == len(rows) * 7


def test_rows_less_similar_than_nothing_are_neighbours_too():
    """With k = n every row is a neighbour, opposite ones included; padding never is."""
    x = torch.randn(10, 2, generator=torch.Generator().manual_seed(0))
    value, column = nearest_neighbours.nearest_neighbours(x, 10)
    assert (value < 0).any()
    assert torch.equal(column.sort(dim=1).values, torch.arange(10).expand(10, 10))


class LargestResult(TorchDispatchMode):
    """Records the size of the largest tensor that any operation returns."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided:
                self.numel = max(self.numel, tensor.numel())
        return result


def test_no_entity_by_entity_matrix_exists(monkeypatch):
    monkeypatch.setattr(nearest_neighbours, "_SIMILARITIES_PER_BLOCK", 1 << 16)
    with LargestResult() as largest:
        neighbour_graph(torch.randn(2000, 4), 5)
    assert 2000 * 4 < largest.numel <= 1 << 16


def batch(exp):
    generator = torch.Generator().manual_seed(3)
    def draw(n):
        return torch.randint(1, n, (40,), generator=generator)
    return Interaction({"user_id": draw(exp.train.user_num), "item_id": draw(exp.train.item_num),
                        "neg_item_id": draw(exp.train.item_num)})


@pytest.mark.parametrize("separate", [True, False])
def test_mcclk_reads_only_the_rows_it_needs(separate):
    """Loss, gradients and scores with the rows of the batch's items equal those with all rows."""
    exp = experiment("MCCLK", build_graph_separately=separate, node_dropout_rate=0.0,
                     mess_dropout_rate=0.0)
    results = []
    for all_rows in (False, True):
        model = exp.build_model()
        if all_rows:
            model._read = lambda items: None
            assert model.gcn.read_rows is None
        loss = model.calculate_loss(batch(exp))
        loss.backward()
        gradients = [p.grad for p in model.parameters()]
        model.eval()
        results.append((loss, gradients, full_scores(model, torch.arange(1, 5))))
    (loss, gradients, scores), (loss_all, gradients_all, scores_all) = results
    torch.testing.assert_close(loss, loss_all)
    torch.testing.assert_close(scores, scores_all)
    for some, every in zip(gradients, gradients_all):
        torch.testing.assert_close(some, every)


def test_mcclk_with_two_layers_on_the_neighbour_graph_reads_all_rows():
    model = build("MCCLK", item_agg_layer=2)
    full_scores(model, torch.tensor([1]))
    assert model.gcn.read_rows is None


def test_scores_follow_the_weights_that_are_loaded():
    """RecBole's KGIN and MCCLK keep scoring with the embeddings of the last evaluation."""
    for name in ("KGIN", "MCCLK"):
        exp = experiment(name)
        first, second = exp.build_model().eval(), exp.build_model().eval()
        randomise(second, seed=5)
        users = torch.arange(1, 6)
        before, wanted = full_scores(first, users), full_scores(second, users)
        first.load_state_dict(second.state_dict())
        assert torch.equal(full_scores(first, users), wanted)
        assert not torch.allclose(before, wanted)


# ---- MCCLK's contrast -------------------------------------------------------------------------


def contrast_of_all_rows(a, b, temperature):
    """-log of the share of row i's own pair, every row of the batch a term of its own."""
    a = a / np.linalg.norm(a, axis=1, keepdims=True)
    b = b / np.linalg.norm(b, axis=1, keepdims=True)
    losses = []
    for i in range(len(a)):
        across = np.exp(b @ a[i] / temperature)
        within = np.exp(np.delete(a, i, axis=0) @ a[i] / temperature)
        losses.append(-np.log(across[i] / (across.sum() + within.sum())))
    return np.array(losses)


@pytest.mark.parametrize("temperature", [0.2, 0.8])
@pytest.mark.parametrize("nodes", [[0, 1, 2, 3, 4], [3, 0, 3, 3, 1, 0, 4], [2, 2], [1]])
def test_contrast_takes_repeated_nodes_once(nodes, temperature):
    torch.manual_seed(0)
    a, b = torch.randn(5, 4).double()[nodes], torch.randn(5, 4).double()[nodes]
    drawn = Occurrences.of(torch.tensor(nodes))
    losses = contrast(a[drawn.row], b[drawn.row], drawn.count.double(), temperature)
    for loss, (x, y) in zip(losses, ((a, b), (b, a))):
        wanted = contrast_of_all_rows(numpy64(x), numpy64(y), temperature)
        np.testing.assert_allclose(numpy64(loss), wanted[drawn.row], rtol=1e-12, atol=1e-15)
        mean = replace(drawn, count=drawn.count.double()).mean(loss)
        np.testing.assert_allclose(float(mean), wanted.mean(), rtol=1e-12, atol=1e-15)


def test_mcclk_contrasts_equal_those_of_recbole():
    """Losses and gradients of RecBole's own methods, which take every row of the batch."""
    names = ("local_level_loss", "global_level_loss_1", "global_level_loss_2")
    exp = experiment("MCCLK", node_dropout_rate=0.0, mess_dropout_rate=0.0)
    results = []
    for every_row in (False, True):
        model = exp.build_model()
        if every_row:
            for name in names:
                setattr(model, name, getattr(RecBoleMCCLK, name).__get__(model))
        loss = model.calculate_loss(batch(exp))
        loss.backward()
        results.append([loss, *(p.grad for p in model.parameters())])
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-7)
