"""Batches of knowledge-graph triples with wrong tails, for the TransE epoch (mathematics 7.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from diffkg_recbole.model.kgcl.draws import KGCLDraws

_ROUNDS = 20


class TripleBatch(NamedTuple):
    """Compact ids of a batch of triples, each [batch] int64 on the model's device."""

    heads: Tensor
    relations: Tensor
    tails: Tensor
    wrong_tails: Tensor


class TripleSampler:
    """The graph's triples in random order, each once per epoch, each with one wrong tail.

    A wrong tail is uniform over the entities that no edge joins to the head. It is found by
    drawing uniformly over all entities and redrawing those that hit an edge; what still hits
    one after 20 rounds (a head joined to nearly every entity) stays, as one false negative more
    or less does no harm and a loop without end would.

    Args:
        heads, relations, tails: [n_triples] int64 compact ids.
        n_entities: number of entities.
    """

    def __init__(self, heads: Tensor, relations: Tensor, tails: Tensor, n_entities: int) -> None:
        self.heads, self.relations, self.tails = heads.cpu(), relations.cpu(), tails.cpu()
        self.n_entities = n_entities
        self._pairs = torch.unique(self.heads * n_entities + self.tails)  # sorted

    def __len__(self) -> int:
        return self.heads.numel()

    def is_edge(self, heads: Tensor, tails: Tensor) -> Tensor:
        """Whether an edge joins head and tail. [n] bool."""
        pairs = heads * self.n_entities + tails
        place = torch.searchsorted(self._pairs, pairs).clamp(max=self._pairs.numel() - 1)
        return self._pairs[place] == pairs

    def wrong_tails(self, heads: Tensor, draws: KGCLDraws) -> Tensor:
        """One wrong tail per head. [n] int64, on the host."""
        wrong = draws.corrupted_tails(heads.numel(), self.n_entities)
        pending = torch.arange(heads.numel())
        for _ in range(_ROUNDS):
            pending = pending[self.is_edge(heads[pending], wrong[pending])]
            if pending.numel() == 0:
                break
            wrong[pending] = draws.corrupted_tails(pending.numel(), self.n_entities)
        return wrong

    def epoch(
        self, batch_size: int, draws: KGCLDraws, device: torch.device | str = "cpu"
    ) -> Iterator[TripleBatch]:
        """Batches of one epoch; all its draws are made before the first batch.

        Args:
            batch_size: triples per batch; the last batch may be shorter.
            draws: source of order and wrong tails.
            device: where the batches are needed.
        """
        if len(self) == 0:
            return
        order = draws.triple_order(len(self))
        heads = self.heads[order]
        columns = [heads, self.relations[order], self.tails[order], self.wrong_tails(heads, draws)]
        for batch in zip(*(column.to(device).split(batch_size) for column in columns)):
            yield TripleBatch(*batch)
