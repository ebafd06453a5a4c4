from __future__ import annotations

import pytest
import torch

from benchmarks import reference
from diffkg_recbole.model.attention import RelationAttention
from diffkg_recbole.model.graph import KnowledgeGraph
from diffkg_recbole.model.propagation import BipartiteGraph, propagate

N_USERS, N_ITEMS = 5, 4
# A repeated pair; user 4 and item 3 have none.
USER = torch.tensor([3, 0, 1, 0, 2, 3, 3, 0])
ITEM = torch.tensor([2, 0, 1, 2, 2, 0, 2, 1])


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def make_operator(user, item, n_users, n_items, **changes) -> torch.Tensor:
    return BipartiteGraph(user, item, n_users, n_items).operator(**changes)


def plain_operator(user, item, self_loops: bool) -> torch.Tensor:
    operator = reference.bipartite_operator(
        user, item, N_USERS, N_ITEMS, self_loops=self_loops, dtype=torch.float64)
    return operator.to_dense()


@pytest.mark.parametrize("self_loops", [True, False])
def test_operator_equals_the_plain_form(self_loops):
    operator = make_operator(
        USER, ITEM, N_USERS, N_ITEMS, self_loops=self_loops, dtype=torch.float64
    )
    plain = plain_operator(USER, ITEM, self_loops)
    torch.testing.assert_close(operator.to_dense(), plain, rtol=1e-14, atol=0)
    assert operator.values().numel() == int((plain != 0).sum())
    assert torch.isfinite(operator.values()).all()


def test_operator_equals_the_recorded_one(golden):
    n_users, n_items = (int(size) for size in golden["data/sizes"][:2])
    user, item = torch.tensor(golden["data/trn"]).t()
    operator = make_operator(user, item, n_users, n_items, self_loops=True)
    found = operator.to_sparse_coo().coalesce()
    assert torch.equal(found.indices().long(), torch.tensor(golden["data/adj_idx"]))
    torch.testing.assert_close(
        found.values(), torch.tensor(golden["data/adj_val"]), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("self_loops", [True, False])
def test_operator_of_kept_pairs(self_loops):
    graph = BipartiteGraph(USER, ITEM, N_USERS, N_ITEMS)
    keep = torch.tensor([True, False, True, False, True, True, False])
    operator = graph.operator(self_loops=self_loops, keep=keep, dtype=torch.float64)
    plain = plain_operator(graph.user[keep], graph.item[keep], self_loops)
    torch.testing.assert_close(operator.to_dense(), plain)
    assert operator.values().numel() == int((plain != 0).sum())


def test_pairs_are_distinct_and_sorted():
    graph = BipartiteGraph(USER, ITEM, N_USERS, N_ITEMS)
    pairs = list(zip(graph.user.tolist(), graph.item.tolist()))
    assert pairs == sorted(set(zip(USER.tolist(), ITEM.tolist())))
    assert graph.n_pairs == len(pairs)


@pytest.mark.parametrize("self_loops", [True, False])
def test_no_pairs_at_all(self_loops):
    nothing = torch.zeros(0, dtype=torch.int64)
    operator = make_operator(nothing, nothing, 2, 3, self_loops=self_loops)
    assert torch.equal(operator.to_dense(), torch.eye(5) * self_loops)


@pytest.mark.parametrize(
    ("user", "item", "message"),
    [
        ([0, 5], [0, 0], "user ids must lie in"),
        ([0, 1], [0, 4], "item ids must lie in"),
        ([0, -1], [0, 1], "user ids must lie in"),
        ([0, 1], [0], "one length"),
        ([[0, 1]], [[0, 1]], "vectors"),
    ],
)
def test_refuses(user, item, message):
    with pytest.raises(ValueError, match=message):
        make_operator(user, item, N_USERS, N_ITEMS, self_loops=True)


@pytest.mark.parametrize("self_loops", [True, False])
@pytest.mark.parametrize("n_layers", [0, 1, 2, 3])
def test_propagate_sums_the_layers(n_layers, self_loops):
    operator = make_operator(
        USER, ITEM, N_USERS, N_ITEMS, self_loops=self_loops, dtype=torch.float64
    )
    user, item = random(N_USERS, 3), random(N_ITEMS, 3, seed=1)
    plain = reference.propagation(plain_operator(USER, ITEM, self_loops), user, item, n_layers)
    plain = plain.split((N_USERS, N_ITEMS))
    ours = propagate(operator, user, item, n_layers)
    torch.testing.assert_close(ours, plain)
    cotangents = (random(N_USERS, 3, seed=2).detach(), random(N_ITEMS, 3, seed=3).detach())
    torch.testing.assert_close(
        torch.autograd.grad(ours, (user, item), cotangents),
        torch.autograd.grad(plain, (user, item), cotangents),
    )


@pytest.mark.parametrize("graph_name", ["none", "small"])
@pytest.mark.parametrize(
    ("hops", "n_hops", "residual_weight"), [("hops1_lam0.5", 1, 0.5), ("hops2_lam0", 2, 0.0)]
)
def test_attention_then_propagation_equals_the_recorded_model(
    golden, hops, n_hops, residual_weight, graph_name
):
    n_users, n_items, n_entities, n_relations = (int(size) for size in golden["data/sizes"])
    edges = {"none": "sampled", "small": "small"}[graph_name]
    head, tail = torch.tensor(golden[f"in/{edges}_index"])
    relation_of_edge = torch.tensor(golden[f"in/{edges}_type"])
    graph = KnowledgeGraph.from_edges(head, tail, relation_of_edge, n_entities, n_relations)
    attention = RelationAttention(
        dim=16, n_hops=n_hops, residual_weight=residual_weight, message_dropout=0.0
    )
    user, entity, relation, weight = (
        torch.tensor(golden[f"param/model/{name}"])
        for name in ("uEmbeds", "eEmbeds", "rEmbeds", "rgat.W")
    )
    attention.load_state_dict({"weight": weight})
    operator = make_operator(
        *torch.tensor(golden["data/trn"]).t(), n_users, n_items, self_loops=True
    )
    items = attention(entity, relation, graph)[:n_items]
    found = dict(zip(("user", "item"), propagate(operator, user, items, 2)))
    for name, embeddings in found.items():
        recorded = torch.tensor(golden[f"model/{hops}/kg_{graph_name}/{name}"])
        torch.testing.assert_close(embeddings, recorded, rtol=1e-5, atol=1e-6)
