"""Two recorded epochs of the authors' program, replayed: same draws in, same numbers out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffkg_recbole.model.diffkg import DiffKGNetwork, DiffKGSettings
from diffkg_recbole.model.draws import Draws
from diffkg_recbole.model.graph import KnowledgeGraph

TRAJECTORY = "traj/fix_cl0"
BATCH = 16


def load_parameters(network: DiffKGNetwork, golden: dict, prefix: str, denoiser: str) -> None:
    """Copy recorded parameters into the network."""
    with torch.no_grad():
        for name, value in parameters(network).items():
            where = denoiser if name.startswith(("emb_", "in_", "out_")) else prefix
            value.copy_(torch.tensor(golden[f"{where}/{name}"]))
        weight = torch.tensor(golden[f"{denoiser}/in_layers.0.weight"]).T
        network.denoiser.input_weight.copy_(weight[: network.n_entities])
        network.denoiser.time_weight.copy_(weight[network.n_entities:])


def parameters(network: DiffKGNetwork) -> dict[str, torch.Tensor]:
    """Parameters by their recorded names (the denoiser's first matrix aside)."""
    denoiser = network.denoiser
    return {
        "uEmbeds": network.user_embedding, "eEmbeds": network.entity_embedding,
        "rEmbeds": network.relation_embedding, "rgat.W": network.attention.weight,
        "emb_layer.weight": denoiser.time_layer.weight,
        "emb_layer.bias": denoiser.time_layer.bias,
        "in_layers.0.bias": denoiser.input_bias,
        "out_layers.0.weight": denoiser.output.weight,
        "out_layers.0.bias": denoiser.output.bias,
    }


class RecordedDraws(Draws):
    """The recorded time steps, noise and keep draws of one epoch, in their order."""

    def __init__(self) -> None:
        super().__init__(0)
        self.queue: dict[str, torch.Tensor] = {}

    def start(self, golden: dict, epoch: int, graph: KnowledgeGraph) -> None:
        record = {name: torch.tensor(golden[f"{TRAJECTORY}/ep{epoch}/{name}"])
                  for name in ("diff_ts", "diff_noise", "mask_rand", "rebuilt")}
        self.queue = {"time": record["diff_ts"], "noise": record["diff_noise"]}
        # the keep draws were recorded in another order of the edges: by (head, tail) here
        head, tail = record["rebuilt"][0], record["rebuilt"][1]
        order = torch.argsort(head * graph.n_entities + tail)
        self.rebuilt = record["rebuilt"][:, order]
        self.uniform = record["mask_rand"][order]

    def _next(self, name: str, n_rows: int) -> torch.Tensor:
        taken, self.queue[name] = self.queue[name][:n_rows], self.queue[name][n_rows:]
        return taken

    def time_steps(self, n_rows, steps):
        return self._next("time", n_rows)

    def noise(self, n_rows, n_columns, dtype=torch.float32):
        return self._next("noise", n_rows)

    def keep_uniform(self, n_edges):
        assert n_edges == len(self.uniform)
        return self.uniform


@pytest.fixture
def network(golden):
    n_users, n_items, n_entities, n_relations = golden["data/sizes"].tolist()
    settings = DiffKGSettings(
        embedding_size=16, denoiser_hidden_sizes=[24], rebuild_k=3, triplet_num=-1,
        reg_weight=0.01, train_batch_size=BATCH, diffusion_batch_size=BATCH,
        message_dropout=0.0, denoiser_dropout=0.0,
    )
    graph = KnowledgeGraph.from_triples(
        torch.tensor(golden["data/kg"]), n_entities, n_relations // 2)
    user, item = torch.tensor(golden["data/trn"]).T
    network = DiffKGNetwork(n_users, n_items, graph, user, item, settings, RecordedDraws())
    head, tail, relation = torch.tensor(golden[f"{TRAJECTORY}/sampled"])[[0, 1, 2]]
    network.training_graph = KnowledgeGraph.from_edges(
        head, tail, relation, n_entities, n_relations)
    network.denoised_graph = network.training_graph
    load_parameters(network, golden, "param/model", "param/denoise")
    return network


def close(got, expected):
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-5, atol=1e-7)


def diffusion_epoch(network, optimizer, golden, epoch):
    order = torch.tensor(golden[f"{TRAJECTORY}/ep{epoch}/diff_batch_index"])
    target = network.collaborative_target()
    elbos, ckgcs = [], []
    for entity, rows in network.diffusion_batches(order):
        optimizer.zero_grad()
        loss, elbo, ckgc = network.diffusion_loss(entity, rows, target)
        loss.backward()
        optimizer.step()
        elbos.append(elbo.item())
        ckgcs.append(ckgc.item())
    close(elbos, golden[f"{TRAJECTORY}/ep{epoch}/diff_loss"])
    close(ckgcs, golden[f"{TRAJECTORY}/ep{epoch}/ukgc_loss"])


def rebuild(network, golden):
    top = network.generated_top()
    rebuilt = network.graph.rebuild(top)
    head, tail, relation = network.draws.rebuilt
    assert torch.equal(rebuilt.head, head)
    assert torch.equal(rebuilt.tail, tail)
    assert torch.equal(rebuilt.relation, relation)
    assert network.rebuild(top) is None


def recommender_epoch(network, optimizer, golden, epoch):
    where = f"{TRAJECTORY}/ep{epoch}"
    batches = zip(*(torch.tensor(golden[f"{where}/{n}"]).split(BATCH)
                    for n in ("anc", "pos", "neg")))
    losses = []
    for step, (user, positive, negative) in enumerate(batches):
        optimizer.zero_grad()
        parts = network.recommender_losses(user, positive, negative)
        sum(parts).backward()
        if epoch == 0 and step == 0:
            for name in ("uEmbeds", "eEmbeds", "rEmbeds", "rgat.W"):
                expected = golden[f"{TRAJECTORY}/first_grad/{name}"]
                scale = np.abs(expected).max()
                np.testing.assert_allclose(
                    parameters(network)[name].grad.numpy(), expected, rtol=1e-5,
                    atol=1e-6 * scale)
        optimizer.step()
        losses.append([part.item() for part in parts])
    for column, name in enumerate(("bpr", "reg", "cl")):
        close([row[column] for row in losses], golden[f"{where}/rec_{name}"])
    close([sum(row) for row in losses], golden[f"{where}/rec_loss"])


def test_two_recorded_epochs(golden, network):
    recommender = torch.optim.Adam(network.recommender_parameters(), lr=1e-3)
    denoiser = torch.optim.Adam(network.denoiser.parameters(), lr=1e-3)
    network.train()
    for epoch in range(2):
        network.draws.start(golden, epoch, network.graph)
        diffusion_epoch(network, denoiser, golden, epoch)
        rebuild(network, golden)
        recommender_epoch(network, recommender, golden, epoch)
        users, items = (t.detach() for t in network.represent(network.main_graph()))
        close(recall_and_ndcg(users @ items.T, golden), golden[f"{TRAJECTORY}/ep{epoch}/test"])
    for name, value in parameters(network).items():
        middle = "denoise/" if name.startswith(("emb_", "in_", "out_")) else ""
        close(value.detach(), golden[f"{TRAJECTORY}/final/{middle}{name}"])
    joined = torch.cat([network.denoiser.input_weight, network.denoiser.time_weight]).T
    close(joined.detach(), golden[f"{TRAJECTORY}/final/denoise/in_layers.0.weight"])


def recall_and_ndcg(scores, golden, k=20):
    """Written out: mean over the test users, training items masked."""
    train, test = golden["data/trn"], golden["data/tst"]
    scores = scores.clone()
    scores[train[:, 0], train[:, 1]] = -torch.inf
    recalls, gains = [], []
    for user in np.unique(test[:, 0]):
        positives = set(test[test[:, 0] == user, 1].tolist())
        hits = [i in positives for i in scores[user].topk(k).indices.tolist()]
        discount = 1 / np.log2(np.arange(2, k + 2))
        recalls.append(sum(hits) / len(positives))
        gains.append(discount[hits].sum() / discount[: min(k, len(positives))].sum())
    return np.mean(recalls), np.mean(gains)
