"""The plain forms: what the formulas say, written down literally, with autograd.

Nothing here is used by the package. Notation as in the package: N entities of which the first I
are items, U users, E edges, d the embedding size, T diffusion steps.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# ---- representations ------------------------------------------------------------------------


def attention(
    entity: Tensor, relation: Tensor, weight: Tensor, edges: tuple[Tensor, Tensor, Tensor],
    n_hops: int, residual_weight: float, dropout: float,
) -> Tensor:
    """Attention edge by edge: an E × 2d matrix of joined embeddings. [N, d].

    s(h, r, t) = LeakyReLU( Σ_k [(x_h ‖ x_t) W]_k r_k ), α its softmax over the edges of h,
    x'_h = normalize( dropout( x_h + Σ α x_t ) ), res ← λ res + x'.

    Args:
        entity: [N, d].
        relation: [2R, d].
        weight: W, [2d, d].
        edges: head, tail and relation of each edge, [E] each.
    """
    head, tail, kind = edges
    total = x = entity
    for _ in range(n_hops):
        joined = torch.cat([x[head], x[tail]], dim=1)
        score = F.leaky_relu(((joined @ weight) * relation[kind]).sum(1), 0.2)
        largest = torch.full_like(x[:, 0], -torch.inf)
        largest = largest.scatter_reduce(0, head, score.detach(), "amax")
        share = (score - largest[head]).exp()
        share = share / torch.zeros_like(x[:, 0]).index_add(0, head, share)[head]
        message = torch.zeros_like(x).index_add(0, head, share.unsqueeze(1) * x[tail])
        x = F.normalize(F.dropout(x + message, dropout))
        total = residual_weight * total + x
    return total


def bipartite_operator(user: Tensor, item: Tensor, n_users: int, n_items: int) -> Tensor:
    """D^-1/2 (B + 1) D^-1/2 as a COO matrix, users first. [U + I, U + I]."""
    nodes = torch.arange(n_users + n_items)
    rows = torch.cat([user, item + n_users, nodes])
    columns = torch.cat([item + n_users, user, nodes])
    ones = torch.ones(len(rows))
    adjacency = torch.sparse_coo_tensor(torch.stack([rows, columns]), ones).coalesce()
    rows, columns = adjacency.indices()
    adjacency.values().fill_(1.0)
    degree = torch.zeros(len(nodes)).index_add(0, rows, adjacency.values())
    values = degree[rows].rsqrt() * degree[columns].rsqrt()
    return torch.sparse_coo_tensor(
        adjacency.indices(), values, adjacency.shape, is_coalesced=True)


def propagation(operator: Tensor, user: Tensor, item: Tensor, n_layers: int) -> Tensor:
    """Σ_l Â^l E with a COO product per layer, all layers kept. [U + I, d]."""
    layers = [torch.cat([user, item])]
    for _ in range(n_layers):
        layers.append(torch.sparse.mm(operator, layers[-1]))
    return torch.stack(layers).sum(0)


# ---- objective --------------------------------------------------------------------------------


def info_nce(anchors_view: Tensor, candidates_view: Tensor, nodes: Tensor, tau: float) -> Tensor:
    """Mean of -log softmax of the cosines, over the full [B, M] matrix. Scalar."""
    anchors, candidates = F.normalize(anchors_view), F.normalize(candidates_view)
    similarity = anchors[nodes] @ candidates.T / tau
    positive = (anchors[nodes] * candidates[nodes]).sum(1) / tau
    return (torch.logsumexp(similarity, 1) - positive).mean()


def bpr(users: Tensor, items: Tensor, batch: tuple[Tensor, Tensor, Tensor], size: int) -> Tensor:
    """Σ -log σ(s_ui - s_uj) / size. Scalar."""
    user, positive, negative = batch
    score = (users[user] * items[positive]).sum(1) - (users[user] * items[negative]).sum(1)
    return -F.logsigmoid(score).sum() / size


# ---- diffusion ----------------------------------------------------------------------------------


class Schedule:
    """The float64 tables of the diffusion, [T] each."""

    def __init__(self, steps: int, scale: float, low: float, high: float) -> None:
        variance = torch.linspace(scale * low, scale * high, steps, dtype=torch.float64)
        bar = 1 - variance
        beta = torch.empty_like(bar)
        for t in range(steps):
            previous = bar[t - 1] if t else 1.0
            beta[t] = min(float(1 - bar[t] / previous), 0.999)
        beta[0] = 1e-4
        bar = torch.cumprod(1 - beta, 0)
        before = torch.cat([torch.ones(1, dtype=torch.float64), bar[:-1]])
        self.steps, self.bar = steps, bar
        self.clean = beta * before.sqrt() / (1 - bar)
        self.noisy = (1 - before) * (1 - beta).sqrt() / (1 - bar)
        ratio = bar / (1 - bar)
        self.weight = torch.cat([torch.ones(1, dtype=torch.float64), ratio[:-1] - ratio[1:]])


class Denoiser(nn.Module):
    """χ̂_0 of [dropout(normalize(χ_t)) ‖ time]: dense layers over joined rows.

    Args:
        model: a denoiser of the package with one hidden layer; its parameters are copied.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.size, self.dropout = model.time_embedding_size, model.dropout
        n_entities, hidden = model.input_weight.shape
        self.time = nn.Linear(self.size, self.size)
        self.inward = nn.Linear(n_entities + self.size, hidden)
        self.outward = nn.Linear(hidden, n_entities)
        with torch.no_grad():
            joined = torch.cat([model.input_weight, model.time_weight])
            self.inward.weight.copy_(joined.T)
            self.inward.bias.copy_(model.input_bias)
            self.time.load_state_dict(model.time_layer.state_dict())
            self.outward.load_state_dict(model.output.state_dict())

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """[B, N] rows and [B] steps to [B, N] rows."""
        half = self.size // 2
        period = torch.exp(-math.log(10000.0) * torch.arange(half) / half)
        angle = t.unsqueeze(1).float() * period
        time = self.time(torch.cat([angle.cos(), angle.sin()], 1))
        x = F.dropout(F.normalize(x), self.dropout, self.training)
        return self.outward(torch.tanh(self.inward(torch.cat([x, time], 1))))


def diffusion_loss(
    denoiser: Denoiser, schedule: Schedule, x0: Tensor, t: Tensor, noise: Tensor,
    interactions: Tensor, user_embedding: Tensor, entity_embedding: Tensor, ckgc_weight: float,
) -> Tensor:
    """(1 - λ) mean(elbo) + λ mean(ckgc) of dense clean rows. Scalar.

    Args:
        x0: [B, N].
        interactions: Rᵀ, sparse [I, U].
        entity_embedding: of the rows' entities, [B, d].
    """
    signal, spread = schedule.bar[t].sqrt().float(), (1 - schedule.bar[t]).sqrt().float()
    x_t = signal.unsqueeze(1) * x0 + spread.unsqueeze(1) * noise
    x0_hat = denoiser(x_t, t)
    elbo = schedule.weight[t] * (x0 - x0_hat).square().mean(1)
    pooled = x0_hat[:, : interactions.shape[0]] @ torch.sparse.mm(interactions, user_embedding)
    ckgc = (pooled - entity_embedding).square().mean(1)
    return (1 - ckgc_weight) * elbo.mean() + ckgc_weight * ckgc.mean()


@torch.no_grad()
def generate(denoiser: Denoiser, schedule: Schedule, x0: Tensor) -> Tensor:
    """T reverse steps over dense rows, a denoiser call each. [B, N]."""
    x = x0
    for step in reversed(range(schedule.steps)):
        x0_hat = denoiser(x, torch.full((len(x),), step))
        x = float(schedule.clean[step]) * x0_hat + float(schedule.noisy[step]) * x
    return x


def relation_of_pairs(edges: tuple[Tensor, Tensor, Tensor]) -> dict[tuple[int, int], int]:
    """Relation by (head, tail)."""
    head, tail, kind = (ids.tolist() for ids in edges)
    return dict(zip(zip(head, tail), kind))


def rebuild(
    top: Tensor, relation_of: dict[tuple[int, int], int]
) -> list[tuple[int, int, int]]:
    """(head, tail, relation) of the top pairs and their reverses that are edges, sorted."""
    pairs = set()
    for head in range(len(top)):
        for column in top[head]:
            pairs.add((head, int(column)))
    for head, tail in list(pairs):
        if (tail, head) not in pairs:
            pairs.add((tail, head))
    return sorted((h, t, relation_of[h, t]) for h, t in pairs if (h, t) in relation_of)


# ---- evaluation ---------------------------------------------------------------------------------


def ranked_hits(scores: Tensor, positives: tuple[Tensor, Tensor], k: int) -> tuple[Tensor, Tensor]:
    """Hits in the top k and number of positives, through a users × items matrix of positives."""
    top = scores.topk(k, dim=1).indices
    matrix = torch.zeros_like(scores, dtype=torch.int)
    matrix[positives] = 1
    return torch.gather(matrix, 1, top), matrix.sum(1)


def metrics(hits: Tensor, n_positive: Tensor, cutoffs: list[int]) -> dict[str, float]:
    """Recall, NDCG, MRR, hit rate and precision, user by user."""
    names = ("recall", "ndcg", "mrr", "hit", "precision")
    sums = {f"{name}@{k}": 0.0 for name in names for k in cutoffs}
    for row, positives in zip(hits.tolist(), n_positive.tolist()):
        for k in cutoffs:
            first = [rank for rank, hit in enumerate(row[:k], start=1) if hit]
            gain = sum(1 / math.log2(rank + 1) for rank in first)
            best = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, positives) + 1))
            values = (len(first) / positives, gain / best, 1 / first[0] if first else 0.0,
                      float(bool(first)), len(first) / k)
            for name, value in zip(names, values):
                sums[f"{name}@{k}"] += value
    return {name: value / len(hits) for name, value in sums.items()}
