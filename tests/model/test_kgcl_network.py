"""KGCL's network against the reference forms in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from benchmarks import reference
from diffkg_recbole.model.graph import KnowledgeGraph
from diffkg_recbole.model.kgcl.draws import KGCLDraws
from diffkg_recbole.model.kgcl.edge_dropout import InteractionDropout
from diffkg_recbole.model.kgcl.network import KGCLNetwork
from tests.model.kgcl_networks import (
    BATCH,
    N_ENTITIES,
    N_ITEMS,
    N_RELATIONS,
    N_USERS,
    SIZE,
    UNREACHED,
    make_network,
)


class RecordedDraws(KGCLDraws):
    """Draws that remember what they gave."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.given: dict[str, list[torch.Tensor]] = {}


def _recorded(name: str) -> Callable:
    def draw(self: RecordedDraws, *arguments):
        value = getattr(KGCLDraws, name)(self, *arguments)
        self.given.setdefault(name, []).append(value)
        return value

    return draw


for _name in ("kg_subset", "interaction_uniform", "kg_keep", "interaction_keep", "keep_mask"):
    setattr(RecordedDraws, _name, _recorded(_name))


# ---- the plain forms --------------------------------------------------------------------------


def plain_attention(network: KGCLNetwork, edges, masks=()) -> np.ndarray:
    """The reference form over ``edges`` [(head, relation, tail)]."""
    head, relation, tail = torch.tensor(edges).T
    attention, settings = network.attention, network.settings
    with torch.no_grad():
        return reference.attention(
            network.entity_embedding, network.relation_embedding, attention.weight,
            (head, tail, relation), settings.n_hops, None,
            settings.message_dropout if masks else 0.0, bias=attention.bias, keep_masks=masks,
        ).numpy()


def edges_of(graph: KnowledgeGraph, keep=None) -> list[tuple[int, int, int]]:
    edges = list(zip(graph.head.tolist(), graph.relation.tolist(), graph.tail.tolist()))
    return edges if keep is None else [e for e, kept in zip(edges, keep.tolist()) if kept]


def pairs_of(network: KGCLNetwork, keep=None) -> list[tuple[int, int]]:
    graph = network.interactions
    pairs = list(zip(graph.user.tolist(), graph.item.tolist()))
    return pairs if keep is None else [p for p, kept in zip(pairs, keep.tolist()) if kept]


def plain_operator(pairs, degree_pairs=None, factor: float = 1.0) -> np.ndarray:
    """Symmetric-normalised bipartite adjacency without self loops, dense."""
    adjacency = np.zeros((N_USERS + N_ITEMS, N_USERS + N_ITEMS))
    degree = np.zeros(N_USERS + N_ITEMS)
    for user, item in pairs if degree_pairs is None else degree_pairs:
        degree[user] += 1
        degree[N_USERS + item] += 1
    for user, item in pairs:
        value = factor / math.sqrt(degree[user] * degree[N_USERS + item])
        adjacency[user, N_USERS + item] = adjacency[N_USERS + item, user] = value
    return adjacency


def plain_represent(network: KGCLNetwork, edges, operator, masks=()):
    items = torch.from_numpy(plain_attention(network, edges, masks)[:N_ITEMS])
    nodes = reference.propagation(
        torch.from_numpy(operator), network.user_embedding.detach(), items,
        network.settings.n_layers)
    users, items = nodes.split((N_USERS, N_ITEMS))
    return users.numpy(), items.numpy()


def plain_info_nce(anchors, candidates, index, temperature: float) -> float:
    views = torch.from_numpy(anchors), torch.from_numpy(candidates)
    return float(reference.info_nce(*views, index, temperature, "sum"))


# ---- representations --------------------------------------------------------------------------


def test_scoring_uses_the_whole_graphs_without_dropout():
    network = make_network().eval()
    users, items = network()
    expected = plain_represent(network, edges_of(network.graph), plain_operator(pairs_of(network)))
    np.testing.assert_allclose(users.detach(), expected[0], rtol=1e-11)
    np.testing.assert_allclose(items.detach(), expected[1], rtol=1e-11)


def test_a_training_step_hides_edges_and_drops_messages():
    draws = RecordedDraws(3)
    network = make_network(draws, edge_dropout=0.4).train()
    users, items = network.represent_step()
    (edge_keep,), (pair_keep,) = draws.given["kg_keep"], draws.given["interaction_keep"]
    assert 0 < edge_keep.sum() < len(edge_keep)
    assert 0 < pair_keep.sum() < len(pair_keep)
    operator = plain_operator(pairs_of(network, pair_keep), pairs_of(network), 1 / 0.6)
    edges = edges_of(network.graph, edge_keep)
    expected = plain_represent(network, edges, operator, draws.given["keep_mask"])
    np.testing.assert_allclose(users.detach(), expected[0], rtol=1e-11)
    np.testing.assert_allclose(items.detach(), expected[1], rtol=1e-11)


def test_hidden_edges_equal_a_smaller_graph():
    network = make_network(message_dropout=0.0)
    keep = torch.rand(network.graph.n_edges) < 0.3
    heads = torch.unique(network.graph.head[keep])
    assert len(heads) < len(torch.unique(network.graph.head))  # some head loses every edge
    inputs = network.entity_embedding, network.relation_embedding
    masked = network.attention(*inputs, network.graph, edge_keep=keep)
    selected = network.attention(*inputs, network.graph.select(keep))
    torch.testing.assert_close(masked, selected, rtol=1e-12, atol=0)
    parameters = list(network.parameters())
    cotangent = torch.randn_like(masked)
    for first, second in zip(
        torch.autograd.grad((masked * cotangent).sum(), parameters),
        torch.autograd.grad((selected * cotangent).sum(), parameters),
    ):
        torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-13)


def test_dropped_interactions_are_zero_and_the_rest_is_scaled():
    network = make_network()
    dropout = InteractionDropout(network.interactions, torch.float64)
    keep = torch.rand(network.interactions.n_pairs) < 0.5
    expected = plain_operator(pairs_of(network, keep), pairs_of(network), 1 / 0.25)
    np.testing.assert_allclose(dropout.operator(keep, 0.25).to_dense(), expected, rtol=1e-13)
    np.testing.assert_allclose(
        dropout.full.to_dense(), plain_operator(pairs_of(network)), rtol=1e-13
    )


# ---- views ------------------------------------------------------------------------------------


def test_views_equal_the_plain_form():
    draws = RecordedDraws(5)
    network = make_network(draws, mean_keep_rate=0.6).train()
    network.refresh_views()
    subsets = draws.given["kg_subset"]
    n_edges = network.graph.n_edges
    edges = edges_of(network.graph)
    graphs = [[edges[e] for e in subset.tolist()] for subset in subsets]
    assert all(len(set(graph)) == n_edges // 2 for graph in graphs)
    first, second = (plain_attention(network, graph)[:N_ITEMS] for graph in graphs)
    cosine = (first * second).sum(1) / np.sqrt((first**2).sum(1) * (second**2).sum(1))
    weight = np.exp(cosine)
    weight = np.maximum((weight - weight.min()) / (weight.max() - weight.min()), 0.3)
    probability = np.minimum(0.6 / weight.mean() * weight, 0.95)
    assert len(set(probability.round(6))) > 2
    uniforms = draws.given["interaction_uniform"]
    for view, graph, uniform in zip(network.views, graphs, uniforms):
        assert edges_of(view.graph) == graph
        pairs = pairs_of(network)
        kept = [p for p, u in zip(pairs, uniform.tolist()) if u < probability[p[1]]]
        assert 0 < len(kept) < len(pairs)
        np.testing.assert_allclose(view.operator.to_dense(), plain_operator(kept), rtol=1e-12)


def test_views_need_no_dropout_and_leave_no_gradient():
    draws = RecordedDraws(5)
    network = make_network(draws).train()
    network.refresh_views()
    assert "keep_mask" not in draws.given
    assert not any(view.operator.requires_grad for view in network.views)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert network.training


def test_views_are_determined_by_the_draws():
    def operators(seed: int) -> list[torch.Tensor]:
        network = make_network(KGCLDraws(seed))
        network.refresh_views()
        return [view.operator.to_dense() for view in network.views]

    first, again, other = operators(1), operators(1), operators(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert not all(torch.equal(a, b) for a, b in zip(first, other))
    assert not torch.equal(*first)


def test_an_item_without_triples_is_represented_equally_under_both_subsets():
    network = make_network().train()
    network.refresh_views()
    first, second = (network._attended_items(view.graph)[UNREACHED] for view in network.views)
    assert torch.equal(first, second)
    assert not torch.equal(
        network._attended_items(network.views[0].graph)[0],
        network._attended_items(network.views[1].graph)[0],
    )


def test_a_graph_without_information_keeps_every_item_alike():
    draws = RecordedDraws(4)
    network = make_network(draws, mean_keep_rate=0.5)
    entities = torch.arange(N_ENTITIES)
    loops = KnowledgeGraph.from_edges(
        entities, entities, torch.zeros_like(entities), N_ENTITIES, 2 * N_RELATIONS
    )
    network.graph = loops
    network.refresh_views()
    for view, uniform in zip(network.views, draws.given["interaction_uniform"]):
        expected = plain_operator(pairs_of(network, uniform < 0.5))
        np.testing.assert_allclose(view.operator.to_dense(), expected, rtol=1e-12)


def test_losses_without_views_are_refused():
    with pytest.raises(RuntimeError, match="refresh_views"):
        make_network().recommender_losses(*BATCH)


# ---- losses -----------------------------------------------------------------------------------


def test_losses_equal_the_plain_form():
    settings = {
        "temperature": 0.3, "contrastive_weight": 0.7, "reg_weight": 0.2, "edge_dropout": 0.5,
    }
    draws = RecordedDraws(6)
    network = make_network(draws, **settings).train()
    network.refresh_views()
    losses = network.recommender_losses(*BATCH)
    given, n_hops = draws.given, network.settings.n_hops
    masks = [given["keep_mask"][start : start + n_hops] for start in (0, n_hops, 2 * n_hops)]
    operator = plain_operator(
        pairs_of(network, given["interaction_keep"][0]), pairs_of(network), 2.0
    )
    edges = edges_of(network.graph, given["kg_keep"][0])
    users, items = plain_represent(network, edges, operator, masks[0])
    ranking = regularisation = 0.0
    for u, p, n in zip(*(ids.tolist() for ids in BATCH)):
        difference = users[u] @ items[n] - users[u] @ items[p]
        ranking += math.log(1 + math.exp(difference))
        squares = (users[u] ** 2).sum() + (items[p] ** 2).sum() + (items[n] ** 2).sum()
        regularisation += 0.5 * squares / len(BATCH[0])
    (users_1, items_1), (users_2, items_2) = (
        plain_represent(network, edges_of(view.graph), view.operator.to_dense().numpy(), mask)
        for view, mask in zip(network.views, masks[1:])
    )
    contrast = plain_info_nce(users_1, users_2, BATCH[0], 0.3)
    contrast += plain_info_nce(items_1, items_2, BATCH[1], 0.3)
    assert losses.ranking.item() == pytest.approx(ranking, rel=1e-11)
    assert losses.regularisation.item() == pytest.approx(0.2 * regularisation, rel=1e-11)
    assert losses.contrastive.item() == pytest.approx(0.7 * contrast, rel=1e-11)


def test_translation_loss_uses_the_tables_before_attention():
    network = make_network(translation_reg_weight=0.3)
    batches = list(network.triple_batches(10))
    assert sum(len(batch.heads) for batch in batches) == network.graph.n_edges
    batch = batches[0]
    entities, relations = network.entity_embedding, network.relation_embedding
    total = 0.0
    for h, r, t, w in zip(*(ids.tolist() for ids in batch)):
        head, relation, tail, wrong = entities[h], relations[r], entities[t], entities[w]
        right = ((head + relation - tail) ** 2).sum().item()
        other = ((head + relation - wrong) ** 2).sum().item()
        total += math.log(1 + math.exp(right - other))
        total += 0.3 * 0.5 * sum((v**2).sum().item() for v in (head, relation, tail, wrong))
    assert network.translation_loss(batch).item() == pytest.approx(total / 10, rel=1e-12)


class FixedDraws(KGCLDraws):
    """The same draws at every call, for numerical gradients."""

    def __init__(self, source: KGCLNetwork) -> None:
        super().__init__(0)
        generator = torch.Generator().manual_seed(1)
        n_edges, n_pairs = source.graph.n_edges, source.interactions.n_pairs
        self._edges = torch.rand(n_edges, generator=generator) < 0.5
        self._pairs = torch.rand(n_pairs, generator=generator) < 0.5
        self._mask = torch.rand(N_ENTITIES, SIZE, generator=generator) < 0.9

    def kg_keep(self, n_edges, keep):
        return self._edges

    def interaction_keep(self, n_interactions, keep):
        return self._pairs

    def keep_mask(self, n_rows, n_columns, keep):
        return self._mask


def test_gradients_equal_finite_differences():
    network = make_network(temperature=0.5).train()
    network.refresh_views()
    network.draws = FixedDraws(network)
    (triples,) = network.triple_batches(1000)
    names = [name for name, _ in network.named_parameters()]
    assert len(names) == 4

    def total(*values):
        parameters = dict(zip(names, values))
        call = torch.func.functional_call
        return call(_Total(network), {f"network.{k}": v for k, v in parameters.items()},
                    (triples,))

    values = [p.detach().clone().requires_grad_() for p in network.parameters()]
    assert torch.autograd.gradcheck(total, values, eps=1e-6, atol=1e-6, rtol=1e-5)


class _Total(torch.nn.Module):
    def __init__(self, network: KGCLNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, triples):
        return sum(self.network.recommender_losses(*BATCH)) + self.network.translation_loss(triples)


# ---- training ---------------------------------------------------------------------------------


def train_epoch(network, recommender, translation) -> tuple[float, float]:
    network.train().refresh_views()
    pairs = network.interactions
    generator = torch.Generator().manual_seed(0)
    negatives = torch.randint(N_ITEMS, (pairs.n_pairs,), generator=generator)
    recommender.zero_grad()
    loss = sum(network.recommender_losses(pairs.user, pairs.item, negatives))
    loss.backward()
    recommender.step()
    total = 0.0
    for batch in network.triple_batches(8):
        translation.zero_grad()
        step = network.translation_loss(batch)
        step.backward()
        translation.step()
        total += step.item()
    return loss.item(), total


def test_both_losses_fall():
    network = make_network(message_dropout=0.0, edge_dropout=0.0)
    recommender = torch.optim.Adam(network.parameters(), lr=0.01)
    translation = torch.optim.Adam(network.translation_parameters(), lr=0.01)
    history = [train_epoch(network, recommender, translation) for _ in range(40)]
    first, last = np.mean(history[:5], axis=0), np.mean(history[-5:], axis=0)
    assert (last < 0.9 * first).all()
