from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchmarks import reference
from diffkg_recbole.model import losses
from diffkg_recbole.model.attention import RelationAttention
from diffkg_recbole.model.diffusion import GaussianDiffusion
from diffkg_recbole.model.graph import KnowledgeGraph
from diffkg_recbole.model.losses import (
    _ContrastOfUnitRows,
    bpr_loss,
    ckgc_target,
    diffusion_terms,
    info_nce,
    l2_loss,
)
from diffkg_recbole.model.propagation import BipartiteGraph, propagate
from diffkg_recbole.model.rows import SparseRows
from tests.denoisers import (
    NOISY_SCHEDULE,
    graph_of,
    plain_prediction,
    random_denoiser,
    random_matrix,
    recorded_denoiser,
    recorded_diffusion,
    recorded_graph,
    renamed,
)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


# ---- ranking and L2 -----------------------------------------------------------------------------


def test_bpr_divides_by_the_configured_batch_size():
    positive, negative = random(5), random(5, seed=1)
    users, items = torch.eye(5, dtype=torch.float64), torch.stack([positive, negative])
    plain = reference.bpr(
        users, items, (torch.arange(5), torch.zeros(5).long(), torch.ones(5).long()), 8)
    torch.testing.assert_close(bpr_loss(positive, negative, 8), plain, rtol=1e-12, atol=0)


def test_bpr_does_not_overflow():
    loss = bpr_loss(torch.tensor([-500.0]), torch.tensor([500.0]), 1)
    assert float(loss) == 1000.0


def test_l2_is_the_sum_of_squares():
    parameters = [random(3, 4), random(5, seed=1)]
    plain = sum(float(p.detach().norm()) ** 2 for p in parameters)
    assert float(l2_loss(parameters).detach()) == pytest.approx(plain, rel=1e-12)
    gradient = torch.autograd.grad(l2_loss(iter(parameters)), parameters)
    assert all(torch.equal(g, 2 * p) for g, p in zip(gradient, parameters))
    with pytest.raises(ValueError, match="at least one"):
        l2_loss([])


# ---- contrast -----------------------------------------------------------------------------------


@pytest.mark.parametrize("block_size", [None, 1, 4, 7, 100])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("temperature", [0.001, 0.1, 1.0])
def test_info_nce_and_gradients_equal_the_plain_form(block_size, reduction, temperature):
    views = random(11, 5), random(11, 5, seed=1)
    nodes = torch.tensor([3, 0, 3, 10, 7, 3, 1])
    found = info_nce(*views, nodes, temperature, block_size=block_size, reduction=reduction)
    plain = reference.info_nce(*views, nodes, temperature, reduction)
    torch.testing.assert_close(found, plain, rtol=1e-11, atol=1e-12)
    for gradient, expected in zip(
        torch.autograd.grad(3 * found, views), torch.autograd.grad(3 * plain, views)
    ):
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("constant", [0, 1])
def test_info_nce_with_gradients_for_one_view_only(constant):
    views = [random(6, 3), random(6, 3, seed=1)]
    views[constant] = views[constant].detach()
    nodes = torch.tensor([5, 2, 2])
    learned = views[1 - constant]
    (found,) = torch.autograd.grad(info_nce(*views, nodes, 0.2), learned)
    (expected,) = torch.autograd.grad(reference.info_nce(*views, nodes, 0.2), learned)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("block_size", [2, 9])
def test_counted_anchors_equal_repeated_ones(block_size):
    """The form for GPUs, which repeats, and the one for CPUs, which counts."""
    anchors, candidates = random(3, 4), random(6, 4, seed=1)
    nodes, counts = torch.tensor([1, 4, 5]), torch.tensor([2, 1, 3])
    counted = _ContrastOfUnitRows.apply(anchors, candidates, nodes, counts, block_size)
    each = torch.repeat_interleave(torch.arange(3), counts)
    repeated = _ContrastOfUnitRows.apply(
        anchors[each], candidates, nodes[each], None, block_size)
    torch.testing.assert_close(counted, repeated, rtol=1e-12, atol=0)
    for gradient, expected in zip(
        torch.autograd.grad(counted, (anchors, candidates)),
        torch.autograd.grad(repeated, (anchors, candidates)),
    ):
        torch.testing.assert_close(gradient, expected, rtol=1e-11, atol=1e-12)


def test_info_nce_of_one_shared_view():
    view, nodes = random(6, 3), torch.tensor([5, 2, 2])
    (found,) = torch.autograd.grad(info_nce(view, view, nodes, 0.2, block_size=2), view)
    (expected,) = torch.autograd.grad(reference.info_nce(view, view, nodes, 0.2), view)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_info_nce_without_gradients():
    views = random(6, 3), random(6, 3, seed=1)
    nodes = torch.tensor([1, 4])
    with torch.no_grad():
        found = info_nce(*views, nodes, 0.2)
    torch.testing.assert_close(found, info_nce(*views, nodes, 0.2).detach(), rtol=0, atol=0)


def test_info_nce_of_zero_rows_is_finite():
    views = torch.zeros(4, 3, requires_grad=True), torch.zeros(4, 3, requires_grad=True)
    loss = info_nce(*views, torch.tensor([0, 1]), 0.1)
    assert loss.item() == pytest.approx(math.log(4))
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(loss, views))


def test_info_nce_keeps_no_matrix_for_backward():
    views, nodes = (random(50, 2), random(50, 2, seed=1)), torch.arange(40)
    saved: list[int] = []

    def pack(tensor):
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        info_nce(*views, nodes, 0.1)
    assert 0 < max(saved) <= 100  # [M, d], not [B, M]


def test_info_nce_knows_two_reductions():
    with pytest.raises(ValueError, match="'max'"):
        info_nce(random(3, 2), random(3, 2), torch.tensor([0]), 0.1, reduction="max")


@pytest.mark.parametrize("block_size", [None, 2])
def test_info_nce_equals_the_recorded_value(golden, block_size):
    found = info_nce(
        torch.tensor(golden["in/cl_e1"]), torch.tensor(golden["in/cl_e2"]),
        torch.tensor(golden["in/cl_nodes"]), 0.2, block_size,
    )
    assert float(found) == pytest.approx(float(golden["loss/cl_plain"]), rel=1e-5)


# ---- the recorded recommender -------------------------------------------------------------------


class RecordedRecommender:
    """Parameters and operators of the recorded problem."""

    def __init__(self, golden: dict[str, np.ndarray]) -> None:
        self.golden = golden
        n_users, self.n_items, self.n_entities, self.n_relations = golden["data/sizes"].tolist()
        user, item = torch.tensor(golden["data/trn"]).t()
        self.operator = BipartiteGraph(user, item, n_users, self.n_items).operator(self_loops=True)
        self.attention = RelationAttention(
            dim=16, n_hops=1, residual_weight=0.5, message_dropout=0.0
        )
        self.parameters = {
            name: torch.tensor(golden[f"param/model/{name}"]).requires_grad_()
            for name in ("uEmbeds", "eEmbeds", "rEmbeds")
        }
        self.attention.weight.data = torch.tensor(golden["param/model/rgat.W"])
        self.parameters["rgat.W"] = self.attention.weight

    def represent(self, edges: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Users and items over the recorded graph ``sampled`` or ``small``."""
        head, tail = torch.tensor(self.golden[f"in/{edges}_index"])
        graph = KnowledgeGraph.from_edges(
            head, tail, torch.tensor(self.golden[f"in/{edges}_type"]),
            self.n_entities, self.n_relations,
        )
        entity = self.attention(self.parameters["eEmbeds"], self.parameters["rEmbeds"], graph)
        return propagate(self.operator, self.parameters["uEmbeds"], entity[: self.n_items], 2)

    def check(self, name: str, loss: torch.Tensor) -> None:
        """The loss and its gradients are the recorded ones."""
        assert float(loss) == pytest.approx(float(self.golden[f"loss/{name}/loss"]), rel=1e-5)
        gradients = torch.autograd.grad(
            loss, list(self.parameters.values()), allow_unused=True, retain_graph=True
        )
        for parameter, gradient in zip(self.parameters, gradients):
            expected = torch.tensor(self.golden[f"loss/{name}/grad/{parameter}"])
            found = torch.zeros_like(expected) if gradient is None else gradient
            torch.testing.assert_close(
                found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()),
                msg=lambda text, parameter=parameter: f"{parameter}: {text}",
            )


def test_ranking_and_l2_equal_the_recorded_ones(golden):
    recommender = RecordedRecommender(golden)
    users, items = recommender.represent("sampled")
    user, positive, negative = (
        torch.tensor(golden[f"in/{name}"]) for name in ("ancs", "poss", "negs")
    )
    scores = [(users[user] * items[chosen]).sum(1) for chosen in (positive, negative)]
    recommender.check("bpr", bpr_loss(*scores, batch_size=16))
    recommender.check("reg", l2_loss(recommender.parameters.values()))


@pytest.mark.parametrize("temperature", [0.1, 1])
def test_contrast_equals_the_recorded_one(golden, temperature):
    recommender = RecordedRecommender(golden)
    auxiliary, main = recommender.represent("sampled"), recommender.represent("small")
    user, item = torch.tensor(golden["in/ancs"]), torch.tensor(golden["in/poss"])
    loss = info_nce(auxiliary[1], main[1], item, temperature, block_size=5)
    loss = loss + info_nce(auxiliary[0], main[0], user, temperature, block_size=5)
    recommender.check(f"cl_temp{temperature}", loss)


# ---- diffusion ----------------------------------------------------------------------------------


def test_ckgc_target_equals_the_dense_product():
    n_users, n_items = 4, 6
    user = torch.tensor([3, 0, 0, 2, 3, 0, 3])
    item = torch.tensor([5, 1, 5, 1, 0, 1, 2])  # (0, 1) twice
    embedding = random(n_users, 3).detach()
    interactions = torch.zeros(n_users, n_items, dtype=torch.float64)
    interactions[user, item] = 1
    found = ckgc_target(user, item, embedding, n_items)
    torch.testing.assert_close(found, interactions.t() @ embedding, rtol=1e-13, atol=1e-14)


def diffusion_problem(n: int = 12, n_items: int = 5, d: int = 3):
    """Clean rows, their order, times, noise, targets and entities of a small batch."""
    matrix, order = random_matrix(n, density=0.3), torch.tensor([4, 0, 11, 4, 7])
    t = torch.tensor([0, 3, 1, 2, 2])
    inputs = (random(5, n), random(n_items, d, seed=1), random(5, d, seed=2))
    return matrix, order, t, tuple(tensor.detach() for tensor in inputs)


@pytest.mark.parametrize("hidden_sizes", [(7,), (6, 3)])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("with_mask", [True, False])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_terms_and_gradients_equal_the_plain_form(hidden_sizes, normalize, with_mask, weight):
    denoiser = random_denoiser(12, hidden_sizes, normalize)
    denoiser.dropout = 0.4
    diffusion = GaussianDiffusion(**NOISY_SCHEDULE)
    matrix, order, t, (noise, target, entity) = diffusion_problem()
    mask = random(5, 12, seed=3).detach() > 0 if with_mask else None

    x0 = matrix[order]
    schedule = reference.Schedule(**NOISY_SCHEDULE)
    predicted = plain_prediction(denoiser, reference.noised(schedule, x0, t, noise), t, mask)
    plain = reference.elbo(schedule, x0, predicted, t), reference.ckgc(predicted, target, entity)
    found = diffusion_terms(
        denoiser, diffusion, SparseRows.of(graph_of(matrix), order),
        t=t, noise=noise.clone(), keep_mask=mask, target=target, entity=entity,
    )
    parameters = list(denoiser.parameters())
    for term, expected in zip(found, plain):
        torch.testing.assert_close(term, expected, rtol=1e-11, atol=1e-12)
    for gradient, expected in zip(
        torch.autograd.grad(reference.weighted(*found, weight), parameters),
        torch.autograd.grad(reference.weighted(*plain, weight), parameters),
    ):
        torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-12)


def recorded_terms(golden, denoiser, dropout: str):
    user, item = torch.tensor(golden["data/trn"]).t()
    n_items = int(golden["data/sizes"][1])
    rows = torch.tensor(golden["in/rows"])
    entity = torch.tensor(golden["param/model/eEmbeds"])
    return diffusion_terms(
        denoiser, recorded_diffusion(), SparseRows.of(recorded_graph(golden), rows),
        t=torch.tensor(golden["in/ts"]), noise=torch.tensor(golden["in/noise"]),
        keep_mask=torch.tensor(golden["in/drop_mask"]) > 0 if dropout == "mask" else None,
        target=ckgc_target(user, item, torch.tensor(golden["param/model/uEmbeds"]), n_items),
        entity=entity[rows],
    )


@pytest.mark.parametrize("dropout", ["nodrop", "mask"])
def test_terms_equal_the_recorded_ones(golden, dropout):
    elbo, ckgc = recorded_terms(golden, recorded_denoiser(golden), dropout)
    for found, name in ((elbo, "diff_loss"), (ckgc, "ukgc_loss")):
        expected = torch.tensor(golden[f"train_losses/{dropout}/{name}"])
        torch.testing.assert_close(found.detach(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dropout", ["nodrop", "mask"])
@pytest.mark.parametrize("weight", [0.5, 0.01])
def test_loss_and_gradients_equal_the_recorded_ones(golden, dropout, weight):
    denoiser = recorded_denoiser(golden)
    loss = reference.weighted(*recorded_terms(golden, denoiser, dropout), weight)
    loss.backward()
    prefix = f"train_losses/{dropout}/e{weight}/"
    assert float(loss.detach()) == pytest.approx(float(golden[prefix + "loss"]), rel=1e-5)
    expected = renamed(golden, prefix + "grad/")
    for name, parameter in denoiser.named_parameters():
        scale = float(expected[name].abs().max())
        torch.testing.assert_close(
            parameter.grad, expected[name], rtol=1e-5, atol=1e-5 * scale, msg=name
        )


def test_no_global_generator_is_used():
    matrix, order, t, (noise, target, entity) = diffusion_problem()
    before = torch.get_rng_state()
    diffusion_terms(
        random_denoiser(12), GaussianDiffusion(**NOISY_SCHEDULE),
        SparseRows.of(graph_of(matrix), order),
        t=t, noise=noise, keep_mask=None, target=target, entity=entity,
    )
    assert losses.info_nce(entity, entity, t, 0.1).isfinite()
    after = torch.get_rng_state()
    # Making the denoiser draws its initial parameters; nothing else may draw.
    torch.set_rng_state(before)
    random_denoiser(12)
    assert torch.equal(after, torch.get_rng_state())
