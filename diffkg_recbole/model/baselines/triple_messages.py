"""Messages e_t ⊙ e_r along triples, averaged by head, for KGIN and MCCLK.

Both models send the same vector from a (relation, tail) pair to every head that has it. The
distinct pairs are the columns of one sparse matrix, so that a step computes each message once and
adds them up in one product; RecBole gathers a vector per triple and scatters it again with
``torch_scatter``, which needs a compiler.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from diffkg_recbole.model.sparse import CsrPattern, row_starts, weighted_sum


class TripleMessages:
    """The triples of a graph as a matrix with a row per head and a column per (relation, tail).

    Args:
        edge_index: heads and tails, [2, E] int64.
        edge_type: relations, [E] int64.
        n_entities: number of rows.
        n_relations: number of relations.
    """

    def __init__(
        self, edge_index: Tensor, edge_type: Tensor, n_entities: int, n_relations: int
    ) -> None:
        head, tail = edge_index
        pairs, column = torch.unique(tail * n_relations + edge_type, return_inverse=True)
        order = torch.argsort(head * max(len(pairs), 1) + column)
        head, column = head[order], column[order]
        self.pattern = CsrPattern(row_starts(head, n_entities), column, max(len(pairs), 1), head)
        self.head, self.relation, self.tail = head, edge_type[order], tail[order]
        self.pair_tail, self.pair_relation = pairs // n_relations, pairs % n_relations

    def __len__(self) -> int:
        return len(self.head)

    def sample(self, rate: float) -> SampledTriples:
        """A uniform sample of int(E * rate) triples, without repeats."""
        kept = torch.zeros(len(self), device=self.head.device)
        chosen = torch.randperm(len(self), device=self.head.device)[: int(len(self) * rate)]
        return SampledTriples(self, kept.index_fill_(0, chosen, 1.0))

    def all(self) -> SampledTriples:
        """Every triple."""
        return SampledTriples(self, torch.ones(len(self), device=self.head.device))


@dataclass(frozen=True)
class SampledTriples:
    """A sample of the triples.

    Attributes:
        triples: all of them.
        kept: 1 for a triple of the sample, else 0, [E] float32.
    """

    triples: TripleMessages
    kept: Tensor

    def mean(self, entities: Tensor, relations: Tensor, weights: Tensor | None = None) -> Tensor:
        """Σ w e_t ⊙ e_r over the sampled triples of each head, divided by their number.

        Args:
            entities: [N, d].
            relations: [R, d].
            weights: weight of each triple, [E]; None = 1. Ignored outside the sample.

        Returns:
            [N, d]; zero for a head without a sampled triple.
        """
        triples = self.triples
        if len(triples) == 0:
            return torch.zeros_like(entities)
        count = self.kept.new_zeros(entities.shape[0]).index_add_(0, triples.head, self.kept)
        share = (self.kept / count.clamp_(min=1.0)[triples.head]).to(entities.dtype)
        values = share if weights is None else share * weights
        messages = entities.index_select(0, triples.pair_tail) * relations.index_select(
            0, triples.pair_relation
        )
        return weighted_sum(triples.pattern, values, messages)

    def softmax(self, scores: Tensor) -> Tensor:
        """Softmax of the scores [E] over the sampled triples of each head; 0 elsewhere. [E]."""
        head, n_heads = self.triples.head, self.triples.pattern.shape[0]
        outside = self.kept == 0
        largest = scores.new_full((n_heads,), float("-inf")).scatter_reduce_(
            0, head, scores.detach().masked_fill(outside, float("-inf")), "amax"
        )
        # A head outside the sample has no largest score; any finite one does for its zeros.
        shifted = (scores - largest[head].nan_to_num(neginf=0.0)).masked_fill(
            outside, float("-inf")
        )
        weights = shifted.exp()
        total = weights.new_zeros(n_heads).index_add(0, head, weights)
        return weights / total[head].masked_fill(outside, 1.0)
