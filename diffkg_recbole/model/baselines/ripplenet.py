"""RippleNet with its memories in one tensor and one product per relation."""

from __future__ import annotations

from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from recbole.model.knowledge_aware_recommender.ripplenet import RippleNet as RecBoleRippleNet
from torch import Tensor

from diffkg_recbole.model.baselines.neighbour_sampling import (
    NeighbourLists,
    draw_positions,
    seeded_generator,
)
from diffkg_recbole.model.baselines.relation_groups import RelationGroups

# Numbers held at a time by a full-sort score; 2^23 float32 are 32 MB.
_NUMBERS_PER_BLOCK = 1 << 23


def sample_ripple_sets(
    lists: NeighbourLists, users: np.ndarray, items: np.ndarray, n_users: int, n_hop: int,
    n_memory: int, generator: np.random.Generator,
) -> np.ndarray:
    """Triples that each user's preference ripples over, hop by hop (RippleNet §3.2).

    The first hop draws from the triples whose head is an item of the user, each later one from
    those whose head is a tail of the hop before; a hop without a triple repeats the one before it,
    and the first one is then all [PAD]. Without repeats where there are enough triples.

    Args:
        lists: triples by head.
        users: user of each interaction.
        items: item of each interaction.

    Returns:
        int32, [n_users, n_hop, 3, n_memory]: heads, relations, tails.
    """
    sets = np.zeros((n_users, n_hop, 3, n_memory), dtype=np.int32)
    order = np.argsort(users, kind="stable")
    owner, entity = users[order], items[order]
    for hop in range(n_hop):
        # The triples of each user in one virtual row: those of its first entity, its second, ...
        degree = lists.degree[entity]
        end = np.cumsum(degree)
        per_user = np.bincount(owner, weights=degree, minlength=n_users).astype(np.int64)
        first = np.cumsum(per_user) - per_user
        some = np.flatnonzero(per_user)
        position = first[some, None] + draw_positions(per_user[some], n_memory, generator)
        source = np.searchsorted(end, position, side="right")
        triple = lists.start[entity[source]] + position - (end - degree)[source]
        sets[some, hop] = np.stack(
            [entity[source], lists.relation[triple], lists.tail[triple]], axis=1
        )
        if hop > 0:
            none = np.flatnonzero(per_user == 0)
            sets[none, hop] = sets[none, hop - 1]
        owner = np.repeat(np.arange(n_users), n_memory)
        entity = sets[:, hop, 2].ravel()
    return sets


class _Hop(NamedTuple):
    """One hop's memories of the distinct users of a batch."""

    relation: Tensor  # [b, M]
    heads: Tensor  # e_h, [b, M, d]
    tails: Tensor  # e_t, [b, M, d]
    keys: Tensor  # R_r e_h, [b, M, d]
    groups: RelationGroups


class RippleNet(RecBoleRippleNet):
    """RecBole's RippleNet; losses and scores are equal.

    - Memories are one tensor; RecBole walks a dictionary user by user in every batch, and cannot
      reload its ``defaultdict`` from a checkpoint of plain data.
    - A relation's matrix is applied to all memories with that relation. RecBole copies the d × d
      matrix of every memory of every pair: 0.5 GB per hop at the default size.
    - A user's memories are transformed once per batch, however often the user occurs in it.
    """

    ripple_set: Tensor  # [n_users, n_hop, 3, n_memory] int32

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        del self.kg, self.user_dict

    def _build_ripple_set(self) -> Tensor:
        pairs = np.array(list(chain.from_iterable(self.kg.values())), dtype=np.int64).reshape(-1, 2)
        heads = np.repeat(
            np.fromiter(self.kg, np.int64, len(self.kg)), [len(p) for p in self.kg.values()]
        ).astype(np.int64)
        lists = NeighbourLists.from_triples(heads, pairs[:, 1], pairs[:, 0], self.n_entities)
        inter = self.interaction_matrix
        sets = sample_ripple_sets(
            lists, inter.row.astype(np.int64), inter.col.astype(np.int64), self.n_users,
            self.n_hop, self.n_memory, seeded_generator(),
        )
        return torch.from_numpy(sets).to(self.device)

    def _matrices(self) -> Tensor:
        d = self.embedding_size
        return self.relation_embedding.weight.view(-1, d, d)

    def _hops(self, users: Tensor) -> list[_Hop]:
        """Memories of the given users, hop by hop."""
        transposed = self._matrices().transpose(1, 2)
        hops = []
        for memory in self.ripple_set[users].long().unbind(1):
            head, relation, tail = memory.unbind(1)
            groups = RelationGroups(relation.flatten(), self.n_relations)
            heads = self.entity_embedding(head)
            keys = groups.product(heads.flatten(0, 1), transposed).view_as(heads)
            hops.append(_Hop(relation, heads, self.entity_embedding(tail), keys, groups))
        return hops

    def _score(self, hops: list[_Hop], row: Tensor, items: Tensor) -> Tensor:
        """Scores of pairs (user ``row[i]`` of the hops, item embedding ``items[i]``), [n]."""
        response = torch.zeros_like(items)
        for hop in hops:
            relevance = (hop.keys[row] @ items.unsqueeze(2)).squeeze(2).softmax(dim=1)
            answer = (relevance.unsqueeze(1) @ hop.tails[row]).squeeze(1)
            items = self.transform_matrix(items + answer)
            response = response + answer
        return (items * response).sum(dim=1)

    def forward(self, interaction: Any) -> Tensor:
        """Scores of the pairs of a batch, [n]."""
        users, row = torch.unique(interaction[self.USER_ID], return_inverse=True)
        return self._score(self._hops(users), row, self.entity_embedding(interaction[self.ITEM_ID]))

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Cross entropy - kg_weight * plausibility of the memories + reg_weight * norms."""
        users, row, times = torch.unique(
            interaction[self.USER_ID], return_inverse=True, return_counts=True
        )
        hops = self._hops(users)
        items = self.entity_embedding(interaction[self.ITEM_ID])
        rec_loss = self.loss(self._score(hops, row, items), interaction[self.LABEL])
        n_memories = len(row) * self.n_memory
        kge_loss = sum(self._plausibility(hop, times) for hop in hops) / n_memories
        norms = sum(self._norms(hop, times) for hop in hops) / n_memories
        reg_loss = norms + self.l2_loss(self.transform_matrix.weight)
        return rec_loss - self.kg_weight * kge_loss + self.reg_weight * reg_loss

    def _plausibility(self, hop: _Hop, times: Tensor) -> Tensor:
        """Σ σ(e_h R e_t) over the memories of all pairs; user i occurs ``times[i]`` times."""
        heads = hop.heads.flatten(0, 1)
        mapped = hop.groups.product(heads, self._matrices()).view_as(hop.heads)
        return (torch.sigmoid((mapped * hop.tails).sum(dim=2)).sum(dim=1) * times).sum()

    def _norms(self, hop: _Hop, times: Tensor) -> Tensor:
        """Norms of all heads, tails and matrices of the memories, as if listed pair by pair."""
        weight = times.unsqueeze(1).to(hop.heads.dtype)
        per_relation = self._matrices().square().sum(dim=(1, 2))
        squares = (
            (hop.heads.square().sum(dim=2) * weight).sum(),
            (hop.tails.square().sum(dim=2) * weight).sum(),
            (per_relation[hop.relation] * weight).sum(),
        )
        return torch.stack(squares).sqrt().sum()

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of all items for the users of a batch, [users * items], in blocks of users."""
        step = max(1, _NUMBERS_PER_BLOCK // (self.n_items * self.embedding_size))
        users = interaction[self.USER_ID]
        return torch.cat([self._score_items(block) for block in users.split(step)]).view(-1)

    def _score_items(self, users: Tensor) -> Tensor:
        """Scores of all items, [b, n_items]."""
        items = self.entity_embedding.weight[: self.n_items].expand(len(users), -1, -1)
        response = torch.zeros_like(items)
        for hop in self._hops(users):
            relevance = (items @ hop.keys.transpose(1, 2)).softmax(dim=2)
            answer = relevance @ hop.tails
            items = self.transform_matrix(items + answer)
            response = response + answer
        return (items * response).sum(dim=2)
