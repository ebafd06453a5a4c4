from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from benchmarks import reference
from diffkg_recbole.model.graph import KnowledgeGraph

N_ENTITIES, N_RELATIONS = 12, 3


def random_triples(seed: int, n_triples: int = 60) -> np.ndarray:
    """Triples with repeats, self loops, several relations per pair; the last entity has none."""
    rng = np.random.default_rng(seed)
    triples = np.stack([
        rng.integers(N_ENTITIES - 1, size=n_triples),
        rng.integers(N_RELATIONS, size=n_triples),
        rng.integers(N_ENTITIES - 1, size=n_triples),
    ], axis=1)
    triples[3, 2] = triples[3, 0]
    return np.concatenate([triples, triples[:5]])


def random_graph(seed: int = 0) -> KnowledgeGraph:
    return KnowledgeGraph.from_triples(random_triples(seed), N_ENTITIES, N_RELATIONS)


def golden_graph(golden: dict[str, np.ndarray]) -> KnowledgeGraph:
    n_entities, n_relations = golden["data/sizes"][2:]
    return KnowledgeGraph.from_triples(golden["data/kg"], int(n_entities), int(n_relations) // 2)


def edges(graph: KnowledgeGraph) -> list[tuple[int, int, int]]:
    return list(zip(graph.head.tolist(), graph.tail.tolist(), graph.relation.tolist()))


def test_from_triples_equals_the_recorded_edges(golden):
    graph = golden_graph(golden)
    assert edges(graph) == sorted(map(tuple, golden["data/kg_edges"].tolist()))
    ones = graph.pattern.matrix(torch.ones(graph.n_edges))
    assert (ones.to_dense().numpy() == golden["data/kg_matrix"]).all()


@pytest.mark.parametrize("seed", range(5))
def test_from_triples_equals_the_plain_form(seed):
    triples = random_triples(seed)
    graph = KnowledgeGraph.from_triples(triples, N_ENTITIES, N_RELATIONS)
    assert edges(graph) == reference.edges_of_triples(
        map(tuple, triples.tolist()), N_RELATIONS)
    assert graph.n_relations == 2 * N_RELATIONS
    shuffled = np.random.default_rng(seed).permutation(triples)
    assert edges(KnowledgeGraph.from_triples(shuffled, N_ENTITIES, N_RELATIONS)) == edges(graph)


def test_edges_are_sorted_and_indptr_bounds_each_head():
    graph = random_graph()
    assert edges(graph) == sorted(edges(graph))
    for head in range(N_ENTITIES):
        start, end = graph.indptr[head], graph.indptr[head + 1]
        assert (graph.head[start:end] == head).all()
    assert graph.indptr[-1] == graph.n_edges
    assert all(ids.dtype == torch.int64 for ids in (graph.head, graph.tail, graph.relation))


def test_a_graph_may_have_no_edges():
    graph = KnowledgeGraph.from_triples(np.zeros((0, 3), dtype=np.int64), 4, 2)
    assert graph.n_edges == 0
    assert graph.sample(2, torch.zeros(0, dtype=torch.float64)).n_edges == 0
    assert graph.rebuild(torch.zeros(4, 1, dtype=torch.int64)).n_edges == 0
    assert not graph.contains(torch.tensor([0, 3]), torch.tensor([1, 3])).any()
    assert graph.statistics(graph) == {
        "edges": 0, "heads": 0, "distinct_tails": 0, "overlap": None,
    }


@pytest.mark.parametrize(
    ("triples", "n_entities", "message"),
    [
        ([[0, 0]], 3, r"integers of shape \[T, 3\]"),
        ([[0.0, 0.5, 1.0]], 3, "not float64"),
        ([[0, 0, 3]], 3, r"head ids must lie in 0\.\.2, found 0\.\.3"),
        ([[-1, 0, 1]], 3, r"head ids must lie in 0\.\.2, found -1"),
        ([[0, 2, 1]], 3, r"relation ids must lie in 0\.\.1, found 2\.\.2"),
        ([[0, 0, 1]], 3_000_000_000, "do not fit 64-bit keys"),
    ],
)
def test_from_triples_refuses(triples, n_entities, message):
    with pytest.raises(ValueError, match=message):
        KnowledgeGraph.from_triples(np.array(triples), n_entities, 2)


def test_the_largest_key_fits_64_bits():
    largest = 3_000_000_000 - 1
    assert largest * largest + largest < 2**63


def test_from_edges_sorts_and_refuses_repeated_pairs():
    graph = random_graph()
    order = torch.randperm(graph.n_edges, generator=torch.Generator().manual_seed(0))
    again = KnowledgeGraph.from_edges(
        graph.head[order], graph.tail[order], graph.relation[order], N_ENTITIES, 2 * N_RELATIONS
    )
    assert edges(again) == edges(graph)
    with pytest.raises(ValueError, match="more than once"):
        KnowledgeGraph.from_edges([1, 0, 1], [2, 1, 2], [0, 0, 1], 3, 2)
    with pytest.raises(ValueError, match="one length"):
        KnowledgeGraph.from_edges([1, 0], [2, 1, 2], [0, 0, 1], 3, 2)


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_sample_keeps_the_smallest_keys_of_each_head(limit):
    graph = random_graph()
    keys = torch.rand(graph.n_edges, generator=torch.Generator().manual_seed(1)).double()
    expected = []
    for head in range(N_ENTITIES):
        own = [edge for edge in range(graph.n_edges) if graph.head[edge] == head]
        expected += sorted(sorted(own, key=lambda edge: float(keys[edge]))[:limit])
    all_edges = edges(graph)
    assert edges(graph.sample(limit, keys)) == [all_edges[edge] for edge in expected]


def test_sample_without_a_limit_is_the_graph_itself():
    graph = random_graph()
    assert graph.sample(-1) is graph


def test_sample_is_uniform_without_replacement():
    graph = KnowledgeGraph.from_edges(
        torch.zeros(6).long(), torch.arange(6), torch.zeros(6).long(), 6, 1
    )
    generator = torch.Generator().manual_seed(3)
    n_draws, counts = 3000, torch.zeros(6)
    for _ in range(n_draws):
        drawn = graph.sample(2, torch.rand(6, generator=generator, dtype=torch.float64))
        assert drawn.n_edges == 2
        counts[drawn.tail] += 1
    # Each edge is kept with probability 1/3; five standard deviations.
    assert ((counts / n_draws - 1 / 3).abs() < 5 * (2 / 9 / n_draws) ** 0.5).all()


@pytest.mark.parametrize("limit", [0, -2])
def test_sample_refuses_limits_without_meaning(limit):
    with pytest.raises(ValueError, match="must be -1 or positive"):
        random_graph().sample(limit, torch.zeros(1))


def test_sample_needs_one_key_per_edge():
    with pytest.raises(ValueError, match="one uniform key per edge"):
        random_graph().sample(1)
    with pytest.raises(ValueError, match="one uniform key per edge"):
        random_graph().sample(1, torch.zeros(3))


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize(
    ("name", "scores"), [("p_sample", "diff/p_sample_all"), ("syn", "in/score_syn")]
)
def test_rebuild_equals_the_recorded_graph(golden, name, scores, k):
    graph = golden_graph(golden)
    top = torch.tensor(golden[scores]).topk(k, dim=1).indices
    expected = golden[f"rebuild/{name}/k{k}/edges"]
    assert edges(graph.rebuild(top)) == sorted(zip(*expected.tolist()))


def plain_rebuild(graph: KnowledgeGraph, top: torch.Tensor, rows: list[int]):
    edges = graph.head, graph.tail, graph.relation
    return reference.rebuild(top, reference.relation_of_pairs(edges), rows)


@pytest.mark.parametrize("symmetric", [True, False])
def test_rebuild_equals_the_plain_form(symmetric):
    graph, generator = random_graph(4), torch.Generator().manual_seed(5)
    if not symmetric:
        graph = graph.select(torch.rand(graph.n_edges, generator=generator) < 0.6)
    top = torch.rand(N_ENTITIES, N_ENTITIES, generator=generator).topk(4).indices
    rebuilt = graph.rebuild(top)
    assert 0 < rebuilt.n_edges < graph.n_edges
    assert edges(rebuilt) == plain_rebuild(graph, top, list(range(N_ENTITIES)))
    rows = torch.tensor([7, 2, 5])
    expected = plain_rebuild(graph, top[rows], rows.tolist())
    assert expected
    assert edges(graph.rebuild(top[rows], rows)) == expected


def test_rebuild_depends_neither_on_row_order_nor_on_column_order():
    graph, generator = random_graph(), torch.Generator().manual_seed(6)
    top = torch.rand(N_ENTITIES, N_ENTITIES, generator=generator).topk(3).indices
    rows = torch.randperm(N_ENTITIES, generator=generator)
    assert edges(graph.rebuild(top[rows].flip(1), rows)) == edges(graph.rebuild(top))


def test_rebuild_refuses():
    graph = random_graph()
    with pytest.raises(ValueError, match="do not fit"):
        graph.rebuild(torch.zeros(3, 1, dtype=torch.int64))
    with pytest.raises(ValueError, match="tail ids must lie in"):
        graph.rebuild(torch.full((N_ENTITIES, 1), N_ENTITIES))


def test_select_keeps_the_masked_edges():
    graph = random_graph()
    keep = torch.arange(graph.n_edges) % 3 == 0
    assert edges(graph.select(keep)) == edges(graph)[::3]
    with pytest.raises(ValueError, match="bool"):
        graph.select(keep.long())
    with pytest.raises(ValueError, match="bool"):
        graph.select(keep[1:])


def test_contains_every_edge_and_nothing_else():
    graph = random_graph()
    head = torch.arange(N_ENTITIES).unsqueeze(1).expand(-1, N_ENTITIES)
    tail = head.t()
    pairs = {edge[:2] for edge in edges(graph)}
    expected = [[(row, column) in pairs for column in range(N_ENTITIES)]
                for row in range(N_ENTITIES)]
    assert graph.contains(head, tail).tolist() == expected


def test_statistics():
    graph = KnowledgeGraph.from_edges([0, 0, 2, 3], [1, 2, 1, 3], [0, 1, 0, 1], 5, 2)
    earlier = graph.select(torch.tensor([True, False, True, False]))
    assert graph.statistics() == {"edges": 4, "heads": 3, "distinct_tails": 3, "overlap": None}
    assert graph.statistics(earlier)["overlap"] == 0.5
    assert earlier.statistics(graph)["overlap"] == 1.0


def test_state_survives_a_plain_checkpoint():
    graph = random_graph()
    file = io.BytesIO()
    torch.save(graph.state(), file)
    file.seek(0)
    again = KnowledgeGraph.from_state(torch.load(file, weights_only=True))
    assert edges(again) == edges(graph)
    assert (again.n_entities, again.n_relations) == (N_ENTITIES, 2 * N_RELATIONS)
    assert torch.equal(again.indptr, graph.indptr)


@pytest.mark.parametrize(
    "damage",
    [
        {"head": None},
        {"sizes": torch.tensor([3.0, 2.0])},
        {"sizes": torch.tensor([3])},
        {"sizes": torch.tensor([-1, 2])},
        {"relation": torch.tensor([99])},
    ],
)
def test_a_damaged_state_is_refused(damage):
    with pytest.raises(ValueError, match=r"state|length|lie in"):
        KnowledgeGraph.from_state({**random_graph().state(), **damage})


def test_to_the_same_device_is_the_graph_itself():
    graph = random_graph()
    assert graph.to("cpu") is graph
    moved = graph.to("meta")
    assert moved.device.type == "meta"
    assert moved.indptr.shape == graph.indptr.shape


def test_slots_name_the_entity_and_relation_of_both_sides():
    graph = random_graph()
    width = 2 * graph.n_relations
    dense, distinct = graph.dense_slots, graph.distinct_slots
    assert distinct.pattern is not None
    places = distinct.pattern.rows * width + distinct.pattern.columns
    assert places.unique().numel() == places.numel()
    assert torch.equal(places[distinct.head], dense.head)
    assert torch.equal(places[distinct.tail], dense.tail)
    for edge, (head, tail, relation) in enumerate(edges(graph)):
        assert divmod(int(dense.head[edge]), width) == (head, relation)
        assert divmod(int(dense.tail[edge]), width) == (tail, graph.n_relations + relation)
