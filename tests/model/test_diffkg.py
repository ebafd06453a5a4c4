"""DiffKG as a whole: views, variants, rebuilding, [PAD] and permuted ids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recbole.utils import KGDataLoaderState

from benchmarks import reference
from diffkg_recbole.config import Config
from diffkg_recbole.errors import ConfigurationError
from diffkg_recbole.model.diffkg import DiffKGNetwork, DiffKGSettings
from diffkg_recbole.model.draws import Draws
from diffkg_recbole.model.graph import KnowledgeGraph
from diffkg_recbole.quick_start import prepare
from tests.data.synthetic import write_synthetic

SMALL = {"embedding_size": 8, "denoiser_hidden_sizes": [12], "time_embedding_size": 4,
         "train_batch_size": 16, "diffusion_batch_size": 7, "triplet_num": -1,
         "message_dropout": 0.0, "denoiser_dropout": 0.0, "temperature": 0.3}
SIZES = 9, 11, 25, 3  # users, items, entities, forward relations


@pytest.fixture
def _exact():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def problem(seed=0):
    """Triples, training pairs and a batch of a random problem."""
    rng = np.random.default_rng(seed)
    n_users, n_items, n_entities, n_relations = SIZES
    triples = np.stack([rng.integers(n_entities, size=60), rng.integers(n_relations, size=60),
                        rng.integers(n_entities, size=60)], axis=1)
    pairs = np.argwhere(rng.random((n_users, n_items)) < 0.3)
    batch = [torch.tensor(rng.integers(size, size=16)) for size in (n_users, n_items, n_items)]
    return triples, torch.tensor(pairs), batch


def network(settings=None, draws=None, seed=0, **changes):
    triples, pairs, _ = problem(seed)
    settings = settings or DiffKGSettings(**{**SMALL, **changes})
    torch.manual_seed(1)
    graph = KnowledgeGraph.from_triples(triples, SIZES[2], SIZES[3])
    made = DiffKGNetwork(SIZES[0], SIZES[1], graph, *pairs.T, settings, draws or Draws(3))
    return made.double().train()


def plain_losses(net, main, auxiliary, user, positive, negative):
    """The three parts of the objective, put together from the reference forms."""
    s = net.settings
    operator = reference.bipartite_operator(
        net.user, net.item, net.n_users, net.n_items, dtype=torch.float64)

    def represent(graph):
        entity = reference.attention(
            net.entity_embedding, net.relation_embedding, net.attention.weight,
            (graph.head, graph.tail, graph.relation), s.n_hops, s.residual_weight)
        return reference.propagation(
            operator, net.user_embedding, entity[: net.n_items], s.n_layers
        ).split((net.n_users, net.n_items))

    (users, items), (other_users, other_items) = represent(main), represent(auxiliary)
    contrast = reference.info_nce(other_items, items, positive, s.temperature)
    contrast = contrast + reference.info_nce(other_users, users, user, s.temperature)
    return (reference.bpr(users, items, (user, positive, negative), s.train_batch_size),
            s.reg_weight * reference.l2(net.recommender_parameters()),
            s.contrastive_weight * contrast)


@pytest.mark.usefixtures("_exact")
@pytest.mark.parametrize("kg_in_training", ["denoised", "released"])
@pytest.mark.parametrize("cl_pattern", [0, 1])
@pytest.mark.parametrize("hops", [1, 2])
def test_objective_equals_the_plain_form(cl_pattern, kg_in_training, hops):
    net = network(cl_pattern=cl_pattern, kg_in_training=kg_in_training, n_hops=hops,
                  reg_weight=0.01)
    net.denoised_graph = net.graph.select(torch.arange(net.graph.n_edges) % 3 == 0)
    g, d = net.training_graph, net.denoised_graph
    views = {(0, "denoised"): (d, g), (1, "denoised"): (g, d)}.get(
        (cl_pattern, kg_in_training), (g, g))
    batch = problem()[2]
    got, expected = net.recommender_losses(*batch), plain_losses(net, *views, *batch)
    for a, b in zip(got, expected):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    parameters = net.recommender_parameters()
    for a, b in zip(torch.autograd.grad(sum(got), parameters),
                    torch.autograd.grad(sum(expected), parameters)):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-11)


class KeptDraws(Draws):
    """Draws that remember what they gave."""

    def __init__(self):
        super().__init__(4)
        self.given = {}

    def time_steps(self, *sizes):
        return self.given.setdefault("t", super().time_steps(*sizes))

    def noise(self, *sizes):
        drawn = super().noise(*sizes)
        self.given["noise"] = drawn.clone()  # the loss writes over it
        return drawn

    def keep_mask(self, *sizes):
        return self.given.setdefault("mask", super().keep_mask(*sizes))


@pytest.mark.usefixtures("_exact")
def test_diffusion_loss_equals_the_plain_form_and_trains_the_denoiser_alone():
    draws = KeptDraws()
    net = network(draws=draws, ckgc_weight=0.2, denoiser_dropout=0.3)
    (entity, rows), *_ = net.diffusion_batches(torch.tensor([6, 0, 24, 11]))
    target = net.collaborative_target()
    loss, elbo, ckgc = net.diffusion_loss(entity, rows, target)
    schedule = reference.Schedule(net.settings.steps, net.settings.noise_scale,
                                  net.settings.noise_min, net.settings.noise_max)
    x0, t, kept = rows.dense(torch.float64), draws.given["t"], draws.given["mask"]
    assert 0 < kept.sum() < kept.numel()
    x_t = reference.noised(schedule, x0, t, draws.given["noise"])
    predicted = reference.denoise(
        reference.layers_of(net.denoiser), x_t, t, drop=lambda x: x * kept / 0.7)
    terms = (reference.elbo(schedule, x0, predicted, t),
             reference.ckgc(predicted, target, net.entity_embedding.detach()[entity]))
    expected = reference.weighted(*terms, 0.2)
    torch.testing.assert_close((elbo, ckgc), (terms[0].mean().detach(), terms[1].mean().detach()))
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)
    loss.backward()
    assert all(p.grad is None for p in net.recommender_parameters())
    assert all(p.grad is not None for p in net.denoiser.parameters())
    own = {id(p) for p in net.recommender_parameters()}
    assert not own & {id(p) for p in net.denoiser.parameters()}
    assert len(own) + len(list(net.denoiser.parameters())) == len(list(net.parameters()))


def test_interactions_equal_the_recorded_matrix(golden):
    """Y of the collaborative convolution is 0/1, whatever the order and repeats of the pairs."""
    n_users, n_items, n_entities, _ = golden["data/sizes"].tolist()
    user, item = torch.tensor(golden["data/trn"]).flip(0).repeat(2, 1).T
    graph = KnowledgeGraph.from_triples(golden["data/kg"], n_entities, 5)
    net = DiffKGNetwork(n_users, n_items, graph, user, item, DiffKGSettings(**SMALL), Draws(0))
    matrix = torch.zeros(n_users, n_items)
    matrix.index_put_((net.user, net.item), torch.ones(len(net.user)), accumulate=True)
    np.testing.assert_array_equal(matrix.numpy(), golden["data/ui"])


def test_the_ranking_graph_follows_the_pattern_in_every_mode():
    for released in ("denoised", "released"):
        first = network(cl_pattern=0, kg_in_training=released)
        second = network(cl_pattern=1, kg_in_training=released)
        assert first.main_graph() is first.denoised_graph
        assert second.main_graph() is second.training_graph


def test_without_contrast_the_second_view_is_not_computed():
    net = network(contrastive_weight=0.0)
    parts = net.recommender_losses(*problem()[2])
    assert parts[2].item() == 0
    full = network().recommender_losses(*problem()[2])
    torch.testing.assert_close(parts[:2], full[:2])


class FixedDraws(Draws):
    """Draws that depend on the ids' names, so that permuted problems draw the same."""

    def __init__(self, order, noise, steps):
        super().__init__(0)
        self.order, self._noise, self._steps = order, noise, steps

    def time_steps(self, n_rows, steps):
        return self._steps[:n_rows]

    def noise(self, n_rows, n_columns, dtype=torch.float32):
        return self._noise[:n_rows][:, self.order].clone()


def permuted_pair():
    """The same problem under two namings of its users, items, entities and relations."""
    n_users, n_items, n_entities, n_relations = SIZES
    rng = np.random.default_rng(8)
    user_of, relation_of = rng.permutation(n_users), rng.permutation(n_relations)
    entity_of = np.concatenate([rng.permutation(n_items),
                                n_items + rng.permutation(n_entities - n_items)])
    triples, pairs, batch = problem()
    # a pair of entities keeps one relation, the lowest: which one is lowest is a matter of
    # naming, so this problem has one relation for each pair
    triples = triples[np.unique(np.sort(triples[:, [0, 2]], axis=1), axis=0,
                                return_index=True)[1]]
    renamed = np.stack([entity_of[triples[:, 0]], relation_of[triples[:, 1]],
                        entity_of[triples[:, 2]]], axis=1)
    noise = torch.randn(n_entities, n_entities, dtype=torch.float64)
    steps = torch.arange(n_entities) % 5
    inverse = np.argsort(entity_of)
    settings = DiffKGSettings(**SMALL)
    first = DiffKGNetwork(n_users, n_items, KnowledgeGraph.from_triples(
        triples, n_entities, n_relations), *pairs.T, settings,
        FixedDraws(np.arange(n_entities), noise, steps)).double()
    second = DiffKGNetwork(n_users, n_items, KnowledgeGraph.from_triples(
        renamed, n_entities, n_relations), torch.tensor(user_of)[pairs[:, 0]],
        torch.tensor(entity_of)[pairs[:, 1]], settings,
        FixedDraws(inverse, noise, steps)).double()
    both = np.concatenate([relation_of, n_relations + relation_of])
    with torch.no_grad():
        second.attention.weight.copy_(first.attention.weight)
        second.user_embedding[user_of] = first.user_embedding
        second.entity_embedding[entity_of] = first.entity_embedding
        second.relation_embedding[both] = first.relation_embedding
        for name, value in first.denoiser.named_parameters():
            other = dict(second.denoiser.named_parameters())[name]
            if name in ("input_weight", "output.weight", "output.bias"):
                other[entity_of] = value
            else:
                other.copy_(value)
    return first, second, (user_of, entity_of), batch


def test_permuting_ids_changes_no_loss_and_no_graph():
    first, second, (user_of, entity_of), (user, positive, negative) = permuted_pair()
    renamed = [torch.tensor(m)[ids] for m, ids in
               zip((user_of, entity_of, entity_of), (user, positive, negative))]
    for a, b in zip(first.recommender_losses(user, positive, negative),
                    second.recommender_losses(*renamed)):
        torch.testing.assert_close(a, b)
    rows = torch.arange(first.n_entities)
    losses = []
    for net, order in ((first, rows), (second, torch.tensor(entity_of))):
        (entity, block), *_ = net.diffusion_batches(order)
        losses.append(net.diffusion_loss(entity, block, net.collaborative_target()))
    for a, b in zip(*losses):
        torch.testing.assert_close(a, b)
    edges = []
    for net, name in ((first, np.arange(25)), (second, np.argsort(entity_of))):
        rebuilt = net.graph.rebuild(net.generated_top())
        edges.append({(name[h], name[t]) for h, t in zip(rebuilt.head, rebuilt.tail)})
    assert edges[0] == edges[1]


def test_padding_takes_no_part(tmp_path):
    """The RecBole model, whose ids start at 1, against the network on ids from 0."""
    values = {**write_synthetic(tmp_path), **SMALL}
    exp = prepare(Config("DiffKG", "synthetic", config_dict=values))
    model = exp.build_model()
    data, net = exp.train, model.network
    assert net.user_embedding.shape[0] == data.user_num - 1
    assert net.entity_embedding.shape[0] == data.entity_num - 1
    assert net.relation_embedding.shape[0] == 2 * (data.relation_num - 2)
    assert net.graph.n_edges == len({(h, t) for a, b in zip(data.head_entities, data.tail_entities)
                                     for h, t in ((a, b), (b, a))})
    exp.train_data.set_mode(KGDataLoaderState.RS)
    batch = next(iter(exp.train_data))
    compact = [batch[name] - 1 for name in ("user_id", "item_id", "neg_item_id")]
    model.eval()
    for a, b in zip(model.calculate_loss(batch), net.recommender_losses(*compact)):
        torch.testing.assert_close(a, b)
    users = next(iter(exp.test_data))[0]
    scores = model.full_sort_predict(users).view(len(users), -1)
    u, i = net.represent(net.main_graph())
    torch.testing.assert_close(scores[:, 1:], (u[users["user_id"] - 1] @ i.T).detach())
    assert torch.isneginf(scores[:, 0]).all()


def test_embeddings_are_computed_once_per_evaluation(tmp_path):
    exp = prepare(Config("DiffKG", "synthetic", config_dict={
        **write_synthetic(tmp_path), **SMALL, "eval_memory_mb": 1}))
    model = exp.build_model().eval()
    calls = []
    represent = model.network.represent
    model.network.represent = lambda graph: calls.append(1) or represent(graph)
    users = next(iter(exp.test_data))[0]
    first = model.full_sort_predict(users)
    assert torch.equal(model.full_sort_predict(users), first)
    assert len(calls) == 1
    model.train()
    with torch.no_grad():
        model.network.user_embedding.add_(1)
    model.eval()
    assert not torch.equal(model.full_sort_predict(users), first)
    assert len(calls) == 2


def test_both_graphs_are_stored_with_the_parameters():
    net, other = network(triplet_num=2, rebuild_k=3), network(draws=Draws(8), triplet_num=2)
    assert net.rebuild(net.generated_top()) is None
    other.load_state_dict(net.state_dict())
    for name in ("training_graph", "denoised_graph"):
        stored, taken = getattr(net, name), getattr(other, name)
        assert torch.equal(torch.stack([stored.head, stored.tail, stored.relation]),
                           torch.stack([taken.head, taken.tail, taken.relation]))
    assert net.denoised_graph.n_edges != net.training_graph.n_edges


def test_an_empty_rebuilt_graph_keeps_the_previous_one():
    net = network(keep_rate=0.0)
    before = net.denoised_graph
    problem_found = net.rebuild(net.generated_top())
    assert "the keep rate 0.0 dropped all" in problem_found
    assert net.denoised_graph is before
    net = network()
    missing = next((h, t) for h in range(25) for t in range(25)
                   if not net.graph.contains(torch.tensor([h]), torch.tensor([t])).any())
    top = torch.full((25, 1), missing[1])
    outside = ~net.graph.contains(torch.arange(25), top[:, 0])
    net.settings = DiffKGSettings(**SMALL)
    only = net.graph
    net.graph = only.select((only.tail != missing[1]) & (only.head != missing[1]))
    assert "no top column is an edge" in net.rebuild(top)
    assert net.rebuild_report["outside_share"] == 1.0
    assert outside.any()


def test_keep_draws_thin_the_rebuilt_graph():
    net = network(keep_rate=1.0, rebuild_k=3)
    top = net.generated_top()
    assert net.rebuild(top) is None
    whole = net.denoised_graph
    assert whole.n_edges == net.graph.rebuild(top).n_edges
    half = network(keep_rate=0.5, rebuild_k=3)
    half.rebuild(top)
    assert 0 < half.denoised_graph.n_edges < whole.n_edges
    assert whole.contains(half.denoised_graph.head, half.denoised_graph.tail).all()


@pytest.mark.parametrize("control", ["subset", "random"])
def test_random_graphs_have_the_size_of_the_rebuilt_one(control):
    net = network(denoised_graph=control, keep_rate=1.0, rebuild_k=2, triplet_num=3)
    top = net.generated_top()
    wanted = net.graph.rebuild(top)
    net.rebuild(top)
    pool = net.training_graph if control == "subset" else net.graph
    assert net.denoised_graph.n_edges == min(wanted.n_edges, pool.n_edges)
    assert pool.contains(net.denoised_graph.head, net.denoised_graph.tail).all()
    assert not wanted.contains(net.denoised_graph.head, net.denoised_graph.tail).all()


def test_only_items_are_diffused_where_the_settings_say_so():
    net = network(diffuse_rows="items", rebuild_k=4, keep_rate=1.0)
    assert net.n_rows == SIZES[1]
    top = net.generated_top()
    assert top.shape == (SIZES[1], 4)
    assert net.rebuild(top) is None
    whole, rebuilt = net.graph, net.denoised_graph
    relation_of = reference.relation_of_pairs((whole.head, whole.tail, whole.relation))
    expected = reference.rebuild(top, relation_of, range(SIZES[1]))
    assert list(zip(rebuilt.head.tolist(), rebuilt.tail.tolist(), rebuilt.relation.tolist()))\
        == expected
    assert 0 < len(expected) < whole.n_edges
    assert (torch.minimum(rebuilt.head, rebuilt.tail) < SIZES[1]).all()  # an item at one end


def test_inverse_relations_in_the_data_are_refused(tmp_path):
    values = {**write_synthetic(tmp_path), "kg_reverse_r": True}
    exp = prepare(Config("DiffKG", "synthetic", config_dict=values))
    with pytest.raises(ConfigurationError, match="'kg_reverse_r': True is not allowed"):
        exp.build_model()


@pytest.mark.parametrize(("values", "words"), [
    ({}, None), ({"contrastive_weight": 0}, "w/o contrastive loss"),
    ({"ckgc_weight": 0}, "w/o CKGC"), ({"denoised_graph": "subset"}, "w/o diffusion"),
    ({"denoised_graph": "random", "kg_in_training": "released"},
     "random rebuilt graph, released"),
])
def test_variants_are_named(values, words):
    assert DiffKGSettings.from_config(values).variant() == words
