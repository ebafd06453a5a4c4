"""Relation-aware attention over a knowledge graph (mathematics 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from diffkg_recbole.model.draws import Draws
from diffkg_recbole.model.graph import KnowledgeGraph, ScoreSlots
from diffkg_recbole.model.sparse import (
    CsrPattern,
    gathered_sum,
    sampled_product,
    segment_softmax,
    weighted_sum,
)

# A sampled entry costs about as much as this many dense ones (break-even seen on CPUs).
_SAMPLED_COST = 4
_SMALLEST_NORM = 1e-12  # as in torch.nn.functional.normalize


class RelationAttention(nn.Module):
    """Attention hops over the edges (h, r, t) of a knowledge graph.

    One hop (the weight W and the relations are shared by all hops)::

        s(h, r, t) = LeakyReLU( Σ_k [ (x_h ‖ x_t) W + b ]_k · r_k )
        α          = softmax of s over the edges of the same head h
        x'_h       = normalize_2( dropout( x_h + Σ α x_t ) )

    Read-out "residual": res ← residual_weight · res + x' after each hop, res starts as x.
    Read-out "last": the last hop's x' alone.

    Scores are computed in the factored form x_h · (W₁ r) + x_t · (W₂ r), W = [W₁; W₂]
    (mathematics 8.1): two scalars gathered per edge, from a table over entities and relations.
    The table is dense [n_entities, 2 n_relations] or, when that would cost more, holds only the
    (entity, relation) pairs that occur in the graph; the values are the same.

    Args:
        dim: embedding size d.
        n_hops: number of hops.
        residual_weight: λ of the residual read-out.
        message_dropout: probability p of dropping an element in training; kept ones are
            scaled by 1 / (1 - p).
        slope: LeakyReLU's slope for negative scores.
        bias: whether b is there (starts at zero).
        readout: "residual" or "last".
        table: "auto" (the cheaper one), "dense" or "distinct".
    """

    def __init__(
        self,
        *,
        dim: int,
        n_hops: int,
        residual_weight: float,
        message_dropout: float,
        slope: float = 0.2,
        bias: bool = False,
        readout: Literal["residual", "last"] = "residual",
        table: Literal["auto", "dense", "distinct"] = "auto",
    ) -> None:
        super().__init__()
        self.n_hops = n_hops
        self.residual_weight = residual_weight
        self.message_dropout = message_dropout
        self.slope = slope
        self.readout = readout
        self.table = table
        self.weight = nn.Parameter(torch.empty(2 * dim, dim))
        self.bias = nn.Parameter(torch.empty(dim)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """W Xavier-uniform with ReLU gain, b zero."""
        nn.init.xavier_uniform_(self.weight, gain=nn.init.calculate_gain("relu"))
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self,
        entity: Tensor,
        relation: Tensor,
        graph: KnowledgeGraph,
        *,
        draws: Draws | None = None,
        keep_masks: Sequence[Tensor] | None = None,
        edge_keep: Tensor | None = None,
    ) -> Tensor:
        """Entity representations after all hops.

        Args:
            entity: x, [n_entities, d].
            relation: r, [n_relations, d], inverses included.
            graph: edges to attend over.
            draws: source of the dropout masks; needed when training with dropout.
            keep_masks: these masks instead of drawn ones, per hop [n_entities, d] bool.
            edge_keep: edges to use, [n_edges] bool; None: all. The result is that of
                ``graph.select(edge_keep)``, without a pattern to sort anew: for subsets that
                change with every step.

        Returns:
            [n_entities, d].

        Raises:
            ValueError: training with dropout, but neither ``draws`` nor ``keep_masks``, or not
                one mask per hop.
        """
        if keep_masks is None:
            keep_masks = self.draw_masks(draws, entity)
        if len(keep_masks) not in (0, self.n_hops):
            raise ValueError(f"{len(keep_masks)} dropout masks for {self.n_hops} hops")
        slots = self._slots(graph)
        projected = _projected_relations(relation, self.weight)
        shift = None if self.bias is None else (relation @ self.bias)[graph.relation]

        total = x = entity
        for hop in range(self.n_hops):
            scores = edge_scores(x, projected, slots)
            if shift is not None:
                scores = scores + shift
            scores = functional.leaky_relu(scores, self.slope)
            attention = _attention(graph.pattern, scores, edge_keep)
            x = weighted_sum(graph.pattern, attention, x, add_input=True)
            mask = keep_masks[hop] if keep_masks else None
            x = dropped_and_normalized(x, mask, self.message_dropout)
            total = x if self.readout == "last" else x.add(total, alpha=self.residual_weight)
        return total

    def draw_masks(self, draws: Draws | None, entity: Tensor) -> list[Tensor]:
        """Dropout masks of all hops; none outside training or without dropout."""
        if not self.training or self.message_dropout == 0:
            return []
        if draws is None:
            raise ValueError("dropout in training needs a source of random draws")
        n_entities, dim = entity.shape
        keep = 1 - self.message_dropout
        return [draws.keep_mask(n_entities, dim, keep) for _ in range(self.n_hops)]

    def _slots(self, graph: KnowledgeGraph) -> ScoreSlots:
        dense_entries = graph.n_entities * 2 * graph.n_relations
        # Every edge adds at most two distinct pairs; counting them exactly would need a sort.
        dense = dense_entries <= _SAMPLED_COST * 2 * graph.n_edges
        if self.table != "auto":
            dense = self.table == "dense"
        return graph.dense_slots if dense else graph.distinct_slots


def _attention(pattern: CsrPattern, scores: Tensor, edge_keep: Tensor | None) -> Tensor:
    """Softmax of each head's scores over the edges that are kept; others get 0. [n_edges]."""
    if edge_keep is None:
        return segment_softmax(pattern, scores)
    lowest = torch.finfo(scores.dtype).min
    weights = segment_softmax(pattern, scores.masked_fill(~edge_keep, lowest))
    return weights * edge_keep  # a head that lost all its edges has equal weights until here


def _projected_relations(relation: Tensor, weight: Tensor) -> Tensor:
    """W₁ r of every relation, then W₂ r. [2 n_relations, d]."""
    for_head, for_tail = weight.chunk(2)
    return torch.cat((relation @ for_head.t(), relation @ for_tail.t()))


def edge_scores(entity: Tensor, projected: Tensor, slots: ScoreSlots) -> Tensor:
    """x_h · (W₁ r) + x_t · (W₂ r) of every edge.

    Args:
        entity: x, [n_entities, d].
        projected: W₁ r of every relation, then W₂ r, [2 n_relations, d].
        slots: places of the parts of each edge's score.

    Returns:
        [n_edges].
    """
    if slots.pattern is None:
        table = (entity @ projected.t()).view(-1)
    else:
        table = sampled_product(slots.pattern, entity, projected)
    return gathered_sum(table, slots.head, slots.tail)


def dropped_and_normalized(x: Tensor, keep_mask: Tensor | None, dropout: float) -> Tensor:
    """normalize_2(dropout(x)) of each row, with the semantics of ``torch.nn.functional``.

    Args:
        x: [n, d].
        keep_mask: elements to keep, [n, d] bool; None: no dropout.
        dropout: p, where kept elements are scaled by 1 / (1 - p).
    """
    scale = 1.0 if keep_mask is None else 1 / (1 - dropout)
    return _DroppedAndNormalized.apply(x, keep_mask, scale)


class _DroppedAndNormalized(torch.autograd.Function):
    """y = z / max(‖z‖, ε) with z = scale · mask · x. For a gradient G of y, z receives
    (G - y ⟨y, G⟩) / ‖z‖, or G / ε where the norm is below ε."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, keep_mask: Tensor | None, scale: float) -> Tensor:
        # The scale only meets the norms, which are few.
        if keep_mask is not None:
            keep_mask = keep_mask.view(torch.int8)  # multiplied five times as fast as bool
        kept = x if keep_mask is None else x * keep_mask
        norm = torch.linalg.vector_norm(kept, dim=1, keepdim=True).mul_(scale)
        factor = scale / norm.clamp(min=_SMALLEST_NORM)
        normalized = kept * factor if keep_mask is None else kept.mul_(factor)
        ctx.save_for_backward(normalized, factor, norm, keep_mask)
        return normalized

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        normalized, factor, norm, keep_mask = ctx.saved_tensors
        radial = torch.linalg.vecdot(normalized, gradient).unsqueeze(1)
        radial = radial.masked_fill_(norm < _SMALLEST_NORM, 0.0)
        for_x = torch.addcmul(gradient, normalized, radial, value=-1.0).mul_(factor)
        if keep_mask is not None:
            for_x.mul_(keep_mask)
        return for_x, None, None
