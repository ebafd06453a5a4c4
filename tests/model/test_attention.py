from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks import reference
from diffkg_recbole.model.attention import RelationAttention, dropped_and_normalized
from diffkg_recbole.model.draws import Draws
from diffkg_recbole.model.graph import KnowledgeGraph

N_ENTITIES, N_RELATIONS, DIM = 9, 6, 4
TABLES = ["dense", "distinct"]
MOVIE_GRAPH = Path(__file__).parents[3] / "shared" / "data" / "movie" / "kg.txt"


def random_graph(seed: int = 0, n_edges: int = 25) -> KnowledgeGraph:
    """Edges with self loops among the first six entities; the others have none."""
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randperm(36, generator=generator)[:n_edges]
    pairs = torch.cat((pairs, torch.tensor([0, 7]))).unique()  # two self loops
    relation = torch.randint(N_RELATIONS, pairs.shape, generator=generator)
    return KnowledgeGraph.from_edges(pairs // 6, pairs % 6, relation, N_ENTITIES, N_RELATIONS)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def make_attention(**changes) -> RelationAttention:
    settings = {"dim": DIM, "n_hops": 1, "residual_weight": 0.5, "message_dropout": 0.0}
    attention = RelationAttention(**{**settings, **changes}).double()
    if attention.bias is not None:
        torch.nn.init.normal_(attention.bias, generator=torch.Generator().manual_seed(2))
    return attention


def plain_attention(
    attention: RelationAttention, entity, relation, graph: KnowledgeGraph, keep_masks=()
) -> torch.Tensor:
    """The reference form with the settings and parameters of a module."""
    return reference.attention(
        entity, relation, attention.weight, (graph.head, graph.tail, graph.relation),
        attention.n_hops,
        attention.residual_weight if attention.readout == "residual" else None,
        attention.message_dropout if keep_masks else 0.0,
        bias=attention.bias, slope=attention.slope, keep_masks=keep_masks,
    )


def assert_equals_plain_form(attention: RelationAttention, graph: KnowledgeGraph, masks=None):
    entity, relation = random(N_ENTITIES, DIM), random(N_RELATIONS, DIM, seed=1)
    cotangent = random(N_ENTITIES, DIM, seed=3).detach()
    inputs = (entity, relation, *attention.parameters())
    plain = plain_attention(attention, entity, relation, graph, masks or ())
    ours = attention(entity, relation, graph, keep_masks=masks)
    torch.testing.assert_close(ours, plain)
    # Without edges W has no influence, and autograd says so with None.
    expected = torch.autograd.grad(plain, inputs, cotangent, allow_unused=True)
    found = torch.autograd.grad(ours, inputs, cotangent, allow_unused=True)
    for gradient, plain_gradient, input_ in zip(found, expected, inputs):
        wanted = torch.zeros_like(input_) if plain_gradient is None else plain_gradient
        got = torch.zeros_like(input_) if gradient is None else gradient
        torch.testing.assert_close(got, wanted)


def golden_graph(golden, name: str) -> KnowledgeGraph:
    n_entities, n_relations = (int(size) for size in golden["data/sizes"][2:])
    if name == "full":
        head, tail, relation = torch.tensor(golden["data/kg_edges"]).t()
    else:
        head, tail = torch.tensor(golden[f"in/{name}_index"])
        relation = torch.tensor(golden[f"in/{name}_type"])
    return KnowledgeGraph.from_edges(head, tail, relation, n_entities, n_relations)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("graph_name", ["sampled", "full", "small"])
@pytest.mark.parametrize("hops", ["hops1_lam0.5", "hops2_lam0", "hops2_lam1"])
@pytest.mark.parametrize(("precision", "tolerance"), [("f32", 1e-5), ("f64", 1e-12)])
def test_equals_the_recorded_output_and_gradients(
    golden, precision, tolerance, hops, graph_name, table
):
    dtype = {"f32": torch.float32, "f64": torch.float64}[precision]
    n_hops, residual_weight = hops[4:].split("_lam")
    attention = RelationAttention(
        dim=16, n_hops=int(n_hops), residual_weight=float(residual_weight),
        message_dropout=0.0, table=table,
    ).to(dtype)
    with torch.no_grad():
        attention.weight.copy_(torch.tensor(golden["param/model/rgat.W"]))
    entity, relation = (
        torch.tensor(golden[f"param/model/{name}"], dtype=dtype, requires_grad=True)
        for name in ("eEmbeds", "rEmbeds")
    )
    out = attention(entity, relation, golden_graph(golden, graph_name))
    (out * torch.tensor(golden["in/G_entity"], dtype=dtype)).sum().backward()
    found = {"out": out, "grad_eEmbeds": entity.grad, "grad_rEmbeds": relation.grad,
             "grad_W": attention.weight.grad}
    for name, value in found.items():
        recorded = torch.tensor(golden[f"rgat/{precision}/{hops}/{graph_name}/{name}"])
        assert value.dtype == recorded.dtype == dtype
        distance = (value - recorded).norm() / recorded.norm()
        assert distance < tolerance, f"{name}: {distance:.1e}"


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("readout", ["residual", "last"])
@pytest.mark.parametrize("n_hops", [1, 2, 3])
def test_equals_the_plain_form(n_hops, readout, bias, table):
    attention = make_attention(n_hops=n_hops, readout=readout, bias=bias, table=table)
    assert_equals_plain_form(attention, random_graph())


@pytest.mark.parametrize("table", TABLES)
def test_equals_the_plain_form_with_dropout_masks(table):
    attention = make_attention(n_hops=2, message_dropout=0.3, table=table)
    generator = torch.Generator().manual_seed(4)
    masks = [torch.rand(N_ENTITIES, DIM, generator=generator) < 0.7 for _ in range(2)]
    assert not masks[0].all()
    assert_equals_plain_form(attention, random_graph(), masks)


@pytest.mark.parametrize("table", TABLES)
def test_equals_the_plain_form_without_any_edge(table):
    nothing = torch.zeros(0, dtype=torch.int64)
    graph = KnowledgeGraph.from_edges(nothing, nothing, nothing, N_ENTITIES, N_RELATIONS)
    assert_equals_plain_form(make_attention(table=table), graph)


@pytest.mark.parametrize("table", TABLES)
def test_gradients_are_the_numerical_ones(table):
    attention, graph = make_attention(n_hops=2, bias=True, table=table), random_graph()
    inputs = (random(N_ENTITIES, DIM), random(N_RELATIONS, DIM, seed=1))

    def forward(entity, relation, weight, bias):
        parameters = {"weight": weight, "bias": bias}
        return torch.func.functional_call(attention, parameters, (entity, relation, graph))

    assert torch.autograd.gradcheck(forward, (*inputs, attention.weight, attention.bias))


def test_huge_scores_give_finite_results():
    attention, graph = make_attention(), random_graph()
    entity, relation = random(N_ENTITIES, DIM), random(N_RELATIONS, DIM, seed=1)
    out = attention(entity, 1e6 * relation, graph)
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert torch.isfinite(entity.grad).all()


class RecordedDraws(Draws):
    """Draws that remember the masks they gave."""

    def keep_mask(self, n_rows: int, n_columns: int, keep: float) -> torch.Tensor:
        self.keep = keep
        self.masks = [*getattr(self, "masks", []), super().keep_mask(n_rows, n_columns, keep)]
        return self.masks[-1]


def test_training_draws_one_mask_per_hop_from_the_given_draws_alone():
    attention, graph = make_attention(n_hops=2, message_dropout=0.25), random_graph()
    entity, relation = random(N_ENTITIES, DIM), random(N_RELATIONS, DIM, seed=1)
    draws, global_state = RecordedDraws(7), torch.get_rng_state()
    dropped = attention(entity, relation, graph, draws=draws)
    assert torch.equal(torch.get_rng_state(), global_state)
    assert draws.keep == 0.75
    assert len(draws.masks) == 2
    assert torch.equal(dropped, attention(entity, relation, graph, keep_masks=draws.masks))
    assert torch.equal(attention(entity, relation, graph, draws=Draws(7)), dropped)


def test_evaluation_ignores_dropout():
    attention, graph = make_attention(message_dropout=0.9), random_graph()
    entity, relation = random(N_ENTITIES, DIM), random(N_RELATIONS, DIM, seed=1)
    plain = plain_attention(attention, entity, relation, graph)
    torch.testing.assert_close(attention.eval()(entity, relation, graph, draws=Draws(1)), plain)


def test_refuses_dropout_without_draws_and_too_few_masks():
    attention, graph = make_attention(n_hops=2, message_dropout=0.5), random_graph()
    entity, relation = random(N_ENTITIES, DIM), random(N_RELATIONS, DIM)
    with pytest.raises(ValueError, match="source of random draws"):
        attention(entity, relation, graph)
    mask = torch.ones(N_ENTITIES, DIM, dtype=torch.bool)
    with pytest.raises(ValueError, match="1 dropout masks for 2 hops"):
        attention(entity, relation, graph, keep_masks=[mask])


@pytest.mark.parametrize(
    ("n_relations", "made", "not_made"),
    [(2, "dense_slots", "distinct_slots"), (1024, "distinct_slots", None)],
)
def test_the_table_is_chosen_by_size(n_relations, made, not_made):
    n_entities = 40
    pairs = torch.arange(0, n_entities**2, 2)
    graph = KnowledgeGraph.from_edges(
        pairs // n_entities, pairs % n_entities, pairs % n_relations, n_entities, n_relations
    )
    make_attention()(random(n_entities, DIM), random(n_relations, DIM), graph)
    assert made in vars(graph)
    assert not_made not in vars(graph)


def test_weights_start_xavier_uniform_with_relu_gain_and_the_bias_at_zero():
    torch.manual_seed(0)
    attention = RelationAttention(
        dim=64, n_hops=1, residual_weight=0.5, message_dropout=0.1, bias=True
    )
    bound = (2 * 6 / (128 + 64)) ** 0.5
    assert attention.weight.shape == (128, 64)
    assert attention.weight.abs().max() <= bound
    assert attention.weight.abs().max() > 0.99 * bound
    assert abs(attention.weight.std() / (bound / 3**0.5) - 1) < 0.02
    assert not attention.bias.any()


@pytest.mark.parametrize("scale", [1.0, 1e-13])
def test_dropped_and_normalized_equals_torch(scale):
    """Rows of zeros and rows below the smallest norm included."""
    x = (random(5, DIM).detach() * scale).requires_grad_()
    with torch.no_grad():
        x[2] = 0
    mask = torch.rand(5, DIM, generator=torch.Generator().manual_seed(1)) < 0.6
    cotangent = random(5, DIM, seed=2).detach()
    plain = functional.normalize(torch.where(mask, x / 0.6, torch.zeros_like(x)))
    ours = dropped_and_normalized(x, mask, 0.4)
    torch.testing.assert_close(ours, plain, atol=0, rtol=1e-12)
    torch.testing.assert_close(
        torch.autograd.grad(ours, x, cotangent), torch.autograd.grad(plain, x, cotangent),
        rtol=1e-9, atol=0,
    )
    assert torch.equal(ours[2], torch.zeros(DIM, dtype=torch.float64))


def test_relabelling_the_entities_relabels_the_output():
    attention, graph = make_attention(n_hops=2), random_graph()
    entity, relation = random(N_ENTITIES, DIM), random(N_RELATIONS, DIM, seed=1)
    order = np.random.default_rng(0).permutation(N_ENTITIES)
    new_id = torch.tensor(np.argsort(order))
    relabelled = KnowledgeGraph.from_edges(
        new_id[graph.head], new_id[graph.tail], graph.relation, N_ENTITIES, N_RELATIONS
    )
    ours = attention(entity[torch.tensor(order)], relation, relabelled)
    torch.testing.assert_close(ours, attention(entity, relation, graph)[torch.tensor(order)])


@pytest.mark.realdata
@pytest.mark.skipif(not MOVIE_GRAPH.exists(), reason="the movie graph is not there")
def test_equals_the_edge_by_edge_form_on_a_real_graph():
    triples = np.loadtxt(MOVIE_GRAPH, dtype=np.int64)
    n_entities, n_forward = triples[:, [0, 2]].max() + 1, triples[:, 1].max() + 1
    graph = KnowledgeGraph.from_triples(triples, int(n_entities), int(n_forward))
    entity = random(graph.n_entities, DIM)
    relation = random(graph.n_relations, DIM, seed=1)
    dense, distinct = (make_attention(table=table) for table in TABLES)
    distinct.load_state_dict(dense.state_dict())

    plain = plain_attention(dense, entity, relation, graph)
    cotangent = random(graph.n_entities, DIM, seed=2).detach()
    expected = torch.autograd.grad(plain, (entity, relation, dense.weight), cotangent)
    for attention in (dense, distinct):
        ours = attention(entity, relation, graph)
        torch.testing.assert_close(ours, plain)
        inputs = (entity, relation, attention.weight)
        torch.testing.assert_close(torch.autograd.grad(ours, inputs, cotangent), expected)
