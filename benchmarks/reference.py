"""The reference forms: what the formulas say, written down literally, with autograd.

The one place where a formula stands beside the package's own computation of it. The tests check
the package against these forms, the benchmarks time it against them, and ``tests/test_reference``
checks the forms themselves against numbers recorded from the authors' program. They lie with the
benchmarks because the package never uses them and need not install them. docs/mathematics.md has
the formulas.

Notation as in the package: N entities of which the first I are items, U users, E edges, d the
embedding size, T diffusion steps. Every form has the dtype of what comes in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Edges = tuple[Tensor, Tensor, Tensor]

# ---- knowledge graph ------------------------------------------------------------------------


def edges_of_triples(
    triples: Iterable[tuple[int, int, int]], n_relations: int
) -> list[tuple[int, int, int]]:
    """(head, tail, relation) of the graph of triples (head, relation, tail), sorted.

    Inverses follow the distinct triples; the first relation of an ordered pair stays.
    """
    forward = sorted(set(triples))
    relation_of: dict[tuple[int, int], int] = {}
    for head, relation, tail in forward:
        relation_of.setdefault((head, tail), relation)
    for head, relation, tail in forward:
        relation_of.setdefault((tail, head), relation + n_relations)
    return sorted((head, tail, relation) for (head, tail), relation in relation_of.items())


def relation_of_pairs(edges: Edges) -> dict[tuple[int, int], int]:
    """Relation by (head, tail)."""
    head, tail, kind = (ids.tolist() for ids in edges)
    return dict(zip(zip(head, tail), kind))


def rebuild(
    top: Tensor, relation_of: dict[tuple[int, int], int], rows: Sequence[int] | None = None
) -> list[tuple[int, int, int]]:
    """(head, tail, relation) of the top pairs and their reverses that are edges, sorted.

    Args:
        top: columns taken from each generated row, [n_rows, k].
        relation_of: of the whole graph; see :func:`relation_of_pairs`.
        rows: entity of each row; None: all entities in order.
    """
    pairs = set()
    for head, columns in zip(range(len(top)) if rows is None else rows, top):
        for column in columns:
            pairs.add((head, int(column)))
    for head, tail in list(pairs):
        if (tail, head) not in pairs:
            pairs.add((tail, head))
    return sorted((h, t, relation_of[h, t]) for h, t in pairs if (h, t) in relation_of)


# ---- representations ------------------------------------------------------------------------


def attention(
    entity: Tensor, relation: Tensor, weight: Tensor, edges: Edges, n_hops: int,
    residual_weight: float | None, dropout: float = 0.0, *,
    bias: Tensor | None = None, slope: float = 0.2, keep_masks: Sequence[Tensor] = (),
) -> Tensor:
    """Attention edge by edge: an E × 2d matrix of joined embeddings. [N, d].

    s(h, r, t) = LeakyReLU( Σ_k [(x_h ‖ x_t) W + b]_k r_k ), α its softmax over the edges of h,
    x'_h = normalize( dropout( x_h + Σ α x_t ) ), res ← λ res + x'.

    Args:
        entity: [N, d].
        relation: [2R, d].
        weight: W, [2d, d].
        edges: head, tail and relation of each edge, [E] each.
        residual_weight: λ; None: the last hop is read out alone.
        dropout: p.
        bias: b, [d].
        keep_masks: dropout's masks, a hop each, [N, d] bool; without them they are drawn.
    """
    head, tail, kind = edges
    total = x = entity
    for hop in range(n_hops):
        joined = torch.cat([x[head], x[tail]], dim=1) @ weight
        if bias is not None:
            joined = joined + bias
        score = F.leaky_relu((joined * relation[kind]).sum(1), slope)
        largest = torch.full_like(x[:, 0], -torch.inf)
        largest = largest.scatter_reduce(0, head, score.detach(), "amax")
        share = (score - largest[head]).exp()
        share = share / torch.zeros_like(x[:, 0]).index_add(0, head, share)[head]
        message = torch.zeros_like(x).index_add(0, head, share.unsqueeze(1) * x[tail])
        x = x + message
        x = x * keep_masks[hop] / (1 - dropout) if keep_masks else F.dropout(x, dropout)
        x = F.normalize(x)
        total = x if residual_weight is None else residual_weight * total + x
    return total


def bipartite_operator(
    user: Tensor, item: Tensor, n_users: int, n_items: int, *, self_loops: bool = True,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """D^-1/2 (B + 1) D^-1/2 as a COO matrix, users first; without the 1 if so. [U + I, U + I]."""
    size = n_users + n_items
    nodes = torch.arange(size if self_loops else 0)
    rows = torch.cat([user, item + n_users, nodes])
    columns = torch.cat([item + n_users, user, nodes])
    ones = torch.ones(len(rows), dtype=dtype)
    adjacency = torch.sparse_coo_tensor(torch.stack([rows, columns]), ones, (size, size)).coalesce()
    rows, columns = adjacency.indices()
    adjacency.values().fill_(1.0)
    degree = torch.zeros(size, dtype=dtype).index_add(0, rows, adjacency.values())
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


def info_nce(
    anchors_view: Tensor, candidates_view: Tensor, nodes: Tensor, tau: float,
    reduction: str = "mean",
) -> Tensor:
    """Mean (or sum) of -log softmax of the cosines, over the full [B, M] matrix. Scalar."""
    anchors, candidates = F.normalize(anchors_view), F.normalize(candidates_view)
    similarity = anchors[nodes] @ candidates.T / tau
    positive = (anchors[nodes] * candidates[nodes]).sum(1) / tau
    terms = torch.logsumexp(similarity, 1) - positive
    return terms.mean() if reduction == "mean" else terms.sum()


def bpr(users: Tensor, items: Tensor, batch: tuple[Tensor, Tensor, Tensor], size: int) -> Tensor:
    """Σ -log σ(s_ui - s_uj) / size. Scalar."""
    user, positive, negative = batch
    score = (users[user] * items[positive]).sum(1) - (users[user] * items[negative]).sum(1)
    return -F.logsigmoid(score).sum() / size


def l2(parameters: Iterable[Tensor]) -> Tensor:
    """Σ ‖Θ‖². Scalar."""
    return sum((p.square().sum() for p in parameters), torch.zeros(()))


# ---- diffusion ----------------------------------------------------------------------------------


class Schedule:
    """The float64 tables of the diffusion, [T] each."""

    def __init__(self, steps: int, noise_scale: float, noise_min: float, noise_max: float) -> None:
        variance = torch.linspace(
            noise_scale * noise_min, noise_scale * noise_max, steps, dtype=torch.float64)
        bar = 1 - variance
        beta = torch.empty_like(bar)
        for t in range(steps):
            previous = bar[t - 1] if t else 1.0
            beta[t] = min(float(1 - bar[t] / previous), 0.999)
        beta[0] = 1e-4
        bar = torch.cumprod(1 - beta, 0)
        before = torch.cat([torch.ones(1, dtype=torch.float64), bar[:-1]])
        self.steps, self.beta, self.bar, self.before = steps, beta, bar, before
        self.clean = beta * before.sqrt() / (1 - bar)
        self.noisy = (1 - before) * (1 - beta).sqrt() / (1 - bar)
        ratio = bar / (1 - bar)
        self.weight = torch.cat([torch.ones(1, dtype=torch.float64), ratio[:-1] - ratio[1:]])


def noised(schedule: Schedule, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """χ_t = sqrt(ᾱ_t) χ_0 + sqrt(1 - ᾱ_t) ε. [B, N]."""
    signal, spread = schedule.bar[t].sqrt().to(x0), (1 - schedule.bar[t]).sqrt().to(x0)
    return signal.unsqueeze(1) * x0 + spread.unsqueeze(1) * noise


def time_embedding(t: Tensor, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Cosines, then sines, of t · 10000^(-i / half); an odd size ends in a zero. [B, size]."""
    half = size // 2
    angle = t.unsqueeze(1).to(dtype) * 10000.0 ** (-torch.arange(half, dtype=dtype) / max(half, 1))
    return torch.cat([angle.cos(), angle.sin(), angle.new_zeros(len(t), size % 2)], 1)


Layers = list[tuple[Tensor, Tensor]]


def layers_of(model: Any) -> Layers:
    """Weight and bias of a denoiser of the package: of the layer of the time embedding, then of
    every layer of the network, the first one over joined rows."""
    first = torch.cat([model.input_weight, model.time_weight]).T, model.input_bias
    time, *others = (
        (layer.weight, layer.bias) for layer in (model.time_layer, *model.middle, model.output))
    return [time, first, *others]


def denoise(
    layers: Layers, x: Tensor, t: Tensor, normalize: bool = True,
    drop: Callable[[Tensor], Tensor] = lambda x: x,
) -> Tensor:
    """χ̂_0 of [drop(normalize(χ_t)) ‖ time], tanh between the layers. [B, N].

    Args:
        layers: :func:`layers_of`.
        x: noisy rows, [B, N].
        t: steps, [B].
        normalize: divide the rows by their norm.
        drop: dropout.
    """
    time, *dense, last = layers
    embedded = F.linear(time_embedding(t, time[1].numel(), x.dtype), *time)
    x = torch.cat([drop(F.normalize(x) if normalize else x), embedded], 1)
    for layer in dense:
        x = torch.tanh(F.linear(x, *layer))
    return F.linear(x, *last)


class Denoiser(nn.Module):
    """:func:`denoise` with parameters and dropout of its own.

    Args:
        model: a denoiser of the package; its parameters are copied.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.dropout, self.normalize = model.dropout, model.normalize
        self.flat = nn.ParameterList(
            nn.Parameter(p.detach().clone(memory_format=torch.contiguous_format))
            for layer in layers_of(model) for p in layer)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """[B, N] rows and [B] steps to [B, N] rows."""
        layers = list(zip(self.flat[::2], self.flat[1::2]))
        drop = partial(F.dropout, p=self.dropout, training=self.training)
        return denoise(layers, x, t, self.normalize, drop)


def elbo(schedule: Schedule, x0: Tensor, x0_hat: Tensor, t: Tensor) -> Tensor:
    """w_t · mean_n (χ_0 - χ̂_0)². [B] float64."""
    return schedule.weight[t] * (x0 - x0_hat).square().mean(1)


def ckgc(x0_hat: Tensor, target: Tensor, entity: Tensor) -> Tensor:
    """mean_d ( χ̂_0[:, :I] (Yᵀ E_u) - E_e )². [B].

    Args:
        target: Yᵀ E_u, [I, d].
        entity: embeddings of the rows' entities, [B, d].
    """
    return (x0_hat[:, : target.shape[0]] @ target - entity).square().mean(1)


def weighted(elbo: Tensor, ckgc: Tensor, ckgc_weight: float) -> Tensor:
    """(1 - λ) mean(elbo) + λ mean(ckgc). Scalar."""
    return (1 - ckgc_weight) * elbo.mean() + ckgc_weight * ckgc.mean()


def diffusion_loss(
    denoiser: Denoiser, schedule: Schedule, x0: Tensor, t: Tensor, noise: Tensor,
    interactions: Tensor, user_embedding: Tensor, entity_embedding: Tensor, ckgc_weight: float,
) -> Tensor:
    """(1 - λ) mean(elbo) + λ mean(ckgc) of dense clean rows. Scalar.

    Args:
        x0: [B, N].
        interactions: Yᵀ, sparse [I, U].
        entity_embedding: of the rows' entities, [B, d].
    """
    x0_hat = denoiser(noised(schedule, x0, t, noise), t)
    target = torch.sparse.mm(interactions, user_embedding)
    return weighted(elbo(schedule, x0, x0_hat, t), ckgc(x0_hat, target, entity_embedding),
                    ckgc_weight)


@torch.no_grad()
def generate(
    denoiser: Callable[[Tensor, Tensor], Tensor], schedule: Schedule, x0: Tensor,
    sampling_steps: int = 0, noise: Tensor | None = None,
) -> Tensor:
    """T reverse steps over dense rows, a denoiser call each. [B, N].

    Args:
        sampling_steps: 0 starts from the clean rows, n from χ_{n-1}.
        noise: ε of that start, [B, N].
    """
    x = x0
    if noise is not None:
        x = noised(schedule, x0, torch.full((len(x0),), sampling_steps - 1), noise)
    for step in reversed(range(schedule.steps)):
        x0_hat = denoiser(x, torch.full((len(x),), step))
        x = float(schedule.clean[step]) * x0_hat + float(schedule.noisy[step]) * x
    return x


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
