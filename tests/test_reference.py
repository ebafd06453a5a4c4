"""The reference forms against the numbers recorded from the authors' program."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import reference
from tests.denoisers import RECORDED_SCHEDULE, recorded_denoiser

MODEL = ("uEmbeds", "eEmbeds", "rEmbeds", "rgat.W")


class Recorded:
    """The recorded problem: its parameters, its graphs, its schedule."""

    def __init__(self, golden, dtype=torch.float32) -> None:
        self.golden = golden
        self.sizes = n_users, n_items, _, _ = golden["data/sizes"].tolist()
        self.parameters = {
            name: torch.tensor(golden[f"param/model/{name}"], dtype=dtype, requires_grad=True)
            for name in MODEL}
        self.schedule = reference.Schedule(**RECORDED_SCHEDULE)
        self.pairs = torch.tensor(golden["data/trn"]).T
        self.operator = reference.bipartite_operator(*self.pairs, n_users, n_items, dtype=dtype)
        self.layers = reference.layers_of(recorded_denoiser(golden))

    def edges(self, name: str):
        if name == "full":
            head, tail, relation = torch.tensor(self.golden["data/kg_edges"]).long().T
            return head, tail, relation
        return (*torch.tensor(self.golden[f"in/{name}_index"]),
                torch.tensor(self.golden[f"in/{name}_type"]))

    def attention(self, name: str, n_hops: int = 1, residual_weight: float = 0.5):
        _, entity, relation, weight = self.parameters.values()
        return reference.attention(
            entity, relation, weight, self.edges(name), n_hops, residual_weight)

    def represent(self, name: str, n_hops: int = 1, residual_weight: float = 0.5):
        n_users, n_items = self.sizes[:2]
        items = self.attention(name, n_hops, residual_weight)[:n_items]
        nodes = reference.propagation(self.operator, self.parameters["uEmbeds"], items, 2)
        return nodes.split((n_users, n_items))

    def check(self, name: str, loss: torch.Tensor) -> None:
        close(loss, self.golden[f"loss/{name}/loss"])
        gradients = torch.autograd.grad(loss, list(self.parameters.values()), allow_unused=True)
        for parameter, gradient in zip(MODEL, gradients):
            expected = self.golden[f"loss/{name}/grad/{parameter}"]
            found = torch.zeros(expected.shape) if gradient is None else gradient
            close(found, expected, atol=1e-5 * float(np.abs(expected).max()))


def close(found: torch.Tensor, expected, rtol: float = 1e-5, atol: float = 1e-7) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=rtol, atol=atol)


@pytest.fixture
def recorded(golden):
    return Recorded(golden)


def test_graph(golden, recorded):
    edges = reference.edges_of_triples(
        map(tuple, golden["data/kg"].tolist()), recorded.sizes[3] // 2)
    assert edges == sorted(map(tuple, golden["data/kg_edges"].tolist()))


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize(
    ("name", "scores"), [("p_sample", "diff/p_sample_all"), ("syn", "in/score_syn")])
def test_rebuilding(golden, recorded, name, scores, k):
    top = torch.tensor(golden[scores]).topk(k, dim=1).indices
    rebuilt = reference.rebuild(top, reference.relation_of_pairs(recorded.edges("full")))
    assert rebuilt == sorted(zip(*golden[f"rebuild/{name}/k{k}/edges"].tolist()))


@pytest.mark.parametrize("graph", ["sampled", "full", "small"])
@pytest.mark.parametrize("hops", ["hops1_lam0.5", "hops2_lam0", "hops2_lam1"])
def test_attention(golden, hops, graph):
    recorded = Recorded(golden, torch.float64)
    n_hops, residual_weight = hops[4:].split("_lam")
    out = recorded.attention(graph, int(n_hops), float(residual_weight))
    (out * torch.tensor(golden["in/G_entity"], dtype=torch.float64)).sum().backward()
    _, entity, relation, weight = recorded.parameters.values()
    for name, value in {"out": out, "grad_eEmbeds": entity.grad, "grad_rEmbeds": relation.grad,
                        "grad_W": weight.grad}.items():
        close(value, golden[f"rgat/f64/{hops}/{graph}/{name}"], rtol=1e-10, atol=1e-12)


def test_operator(golden, recorded):
    assert torch.equal(recorded.operator.indices(), torch.tensor(golden["data/adj_idx"]))
    close(recorded.operator.values(), golden["data/adj_val"], rtol=1e-6)


@pytest.mark.parametrize(("graph", "edges"), [("none", "sampled"), ("small", "small")])
@pytest.mark.parametrize(
    ("hops", "n_hops", "residual_weight"), [("hops1_lam0.5", 1, 0.5), ("hops2_lam0", 2, 0.0)])
def test_representations(golden, recorded, hops, n_hops, residual_weight, graph, edges):
    found = recorded.represent(edges, n_hops, residual_weight)
    for name, table in zip(("user", "item"), found):
        close(table, golden[f"model/{hops}/kg_{graph}/{name}"], atol=1e-6)


def test_ranking_and_l2(golden, recorded):
    batch = [torch.tensor(golden[f"in/{name}"]) for name in ("ancs", "poss", "negs")]
    recorded.check("bpr", reference.bpr(*recorded.represent("sampled"), batch, 16))
    recorded.check("reg", reference.l2(recorded.parameters.values()))


@pytest.mark.parametrize("temperature", [0.1, 1])
def test_contrast(golden, recorded, temperature):
    (users, items), (main_users, main_items) = map(recorded.represent, ("sampled", "small"))
    user, item = torch.tensor(golden["in/ancs"]), torch.tensor(golden["in/poss"])
    loss = reference.info_nce(items, main_items, item, temperature)
    loss = loss + reference.info_nce(users, main_users, user, temperature)
    recorded.check(f"cl_temp{temperature}", loss)


def test_sums_of_contrasts_are_means_times_their_number(golden):
    views = torch.tensor(golden["in/cl_e1"]), torch.tensor(golden["in/cl_e2"])
    nodes = torch.tensor(golden["in/cl_nodes"])
    close(reference.info_nce(*views, nodes, 0.2), golden["loss/cl_plain"])
    total = reference.info_nce(*views, nodes, 0.2, "sum")
    close(total / len(nodes), golden["loss/cl_plain"])


def test_schedule(golden, recorded):
    found = {"betas": "beta", "alphas_cumprod": "bar", "alphas_cumprod_prev": "before",
             "posterior_mean_coef1": "clean", "posterior_mean_coef2": "noisy"}
    for name, attribute in found.items():
        close(getattr(recorded.schedule, attribute), golden[f"diff/{name}"], rtol=1e-12, atol=0)


def test_noised_rows_and_denoiser(golden, recorded):
    x0 = torch.tensor(golden["data/kg_matrix"][golden["in/rows"]]).float()
    t, noise = torch.tensor(golden["in/ts"]), torch.tensor(golden["in/noise"])
    x_t = reference.noised(recorded.schedule, x0, t, noise)
    close(x_t, golden["diff/q_sample"])
    for size in (10, 11):
        close(reference.time_embedding(t, size), golden[f"denoise/time_emb{size}"])
    close(reference.denoise(recorded.layers, x_t, t), golden["denoise/eval"], atol=1e-6)
    kept = torch.tensor(golden["in/drop_mask"]) > 0
    dropped = reference.denoise(recorded.layers, x_t, t, drop=lambda x: x * kept / 0.5)
    close(dropped, golden["denoise/train_mask"], atol=1e-6)
    module = reference.Denoiser(recorded_denoiser(golden)).eval()
    close(module(x_t, t), golden["denoise/eval"], atol=1e-6)


@pytest.mark.parametrize("weight", [0.5, 0.01])
def test_diffusion_loss_and_gradients(golden, recorded, weight):
    rows = torch.tensor(golden["in/rows"])
    n_users, n_items = recorded.sizes[:2]
    interactions = torch.sparse_coo_tensor(
        recorded.pairs.flip(0), torch.ones(recorded.pairs.shape[1]), (n_items, n_users)).coalesce()
    module = reference.Denoiser(recorded_denoiser(golden)).eval()
    user, entity = (recorded.parameters[name].detach() for name in ("uEmbeds", "eEmbeds"))
    loss = reference.diffusion_loss(
        module, recorded.schedule, torch.tensor(golden["data/kg_matrix"]).float()[rows],
        torch.tensor(golden["in/ts"]), torch.tensor(golden["in/noise"]), interactions, user,
        entity[rows], weight)
    loss.backward()
    prefix = f"train_losses/nodrop/e{weight}/"
    close(loss, golden[prefix + "loss"])
    names = [f"{layer}.{kind}" for layer in ("emb_layer", "in_layers.0", "out_layers.0")
             for kind in ("weight", "bias")]
    for name, parameter in zip(names, module.flat):
        expected = golden[f"{prefix}grad/{name}"]
        close(parameter.grad, expected, atol=1e-5 * float(np.abs(expected).max()))


@pytest.mark.parametrize(("name", "sampling_steps"),
                         [("p_sample_all", 0), ("p_sample_all_s3", 3)])
def test_generation(golden, recorded, name, sampling_steps):
    rows = reference.generate(
        reference.Denoiser(recorded_denoiser(golden)).eval(), recorded.schedule,
        torch.tensor(golden["data/kg_matrix"]).float(), sampling_steps,
        torch.tensor(golden["in/noise_all"]) if sampling_steps else None)
    close(rows, golden[f"diff/{name}"], atol=1e-6)


@pytest.mark.parametrize("k", [5, 20])
def test_metrics(golden, k):
    test = golden["data/tst"]
    positives = [set(test[test[:, 0] == user, 1].tolist()) for user in golden["eval/users"]]
    hits = torch.tensor([[item in mine for item in top]
                         for mine, top in zip(positives, golden[f"eval/top{k}"].tolist())])
    found = reference.metrics(hits, torch.tensor([len(mine) for mine in positives]), [k])
    assert [found[f"recall@{k}"], found[f"ndcg@{k}"]] == pytest.approx(golden[f"eval/mean{k}"])
