"""KGCN with vectorised sampling and a full-sort score that shares work among items."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from recbole.model.knowledge_aware_recommender.kgcn import KGCN as RecBoleKGCN
from torch import Tensor

from diffkg_recbole.model.baselines.neighbour_sampling import NeighbourLists, seeded_generator

# Numbers held at a time by a full-sort score; 2^23 float32 are 32 MB.
_NUMBERS_PER_BLOCK = 1 << 23


class SampledNeighbourhood:
    """Mix-in for KGCN and KGNNLS: drawing neighbours, and scoring all items of a user.

    An entity's vector in a user's graph depends on user and entity alone, so it is computed once
    per user and entity, not once per path from an item. RecBole expands every (user, item) pair.
    """

    def construct_adj(self, kg_graph: Any) -> tuple[Tensor, Tensor]:
        """K neighbours of every entity in the undirected graph.

        Args:
            kg_graph: COO matrix, rows heads, columns tails, data relations.

        Returns:
            entities and relations, each [n_entities, K] int64.
        """
        model: Any = self
        head, tail = (ids.astype(np.int64) for ids in (kg_graph.row, kg_graph.col))
        relation = np.asarray(kg_graph.data, dtype=np.int64)
        lists = NeighbourLists.from_triples(
            np.stack([head, tail], axis=1).ravel(),  # both directions of a triple, one by one
            np.repeat(relation, 2),
            np.stack([tail, head], axis=1).ravel(),
            kg_graph.shape[0],
        )
        entities, relations = lists.sample(model.neighbor_sample_size, seeded_generator())
        return torch.from_numpy(entities), torch.from_numpy(relations)

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of all items for the users of a batch, [users * items]."""
        model: Any = self
        users = model.user_embedding(interaction[model.USER_ID])
        levels = self._levels()
        step = max(1, _NUMBERS_PER_BLOCK // (len(levels[0]) * model.embedding_size))
        scores = [self._score_items(block, levels) for block in users.split(step)]
        return torch.cat(scores).view(-1)

    def _levels(self) -> list[Tensor]:
        """Entities that each iteration needs: first the widest set, last the items."""
        model: Any = self
        needed = [torch.arange(model.n_items, device=model.adj_entity.device)]
        for _ in range(model.n_iter):
            inner = needed[-1]
            needed.append(torch.unique(torch.cat([inner, model.adj_entity[inner].flatten()])))
        return needed[::-1]

    def _score_items(self, users: Tensor, levels: list[Tensor]) -> Tensor:
        """Scores of all items for users [b, d]: [b, n_items]."""
        model: Any = self
        by_relation = users @ model.relation_embedding.weight.t() / model.embedding_size
        vectors = model.entity_embedding(levels[0]).unsqueeze(1)  # [n, 1 or b, d]
        for i, (known, wanted) in enumerate(zip(levels[:-1], levels[1:])):
            own = vectors[torch.searchsorted(known, wanted)]
            slots = torch.searchsorted(known, model.adj_entity[wanted])
            # The mean over K of weighted neighbours, as RecBole takes it: weights sum to 1 / K.
            weights = by_relation[:, model.adj_relation[wanted]].softmax(dim=-1)
            weights = weights.transpose(0, 1) / model.neighbor_sample_size  # [n', b, K]
            vectors = self._aggregate_level(i, own, vectors, slots, weights)
        return (vectors * users).sum(dim=-1).t()

    def _aggregate_level(
        self, i: int, own: Tensor, vectors: Tensor, slots: Tensor, weights: Tensor
    ) -> Tensor:
        """One iteration for all entities of a level: [n', b, d].

        Linear map and mixing commute; the first iteration maps before mixing, as its vectors are
        the same for all users.
        """
        model: Any = self
        layer, d = model.linear_layers[i], model.embedding_size
        kind = model.aggregator_class
        of_neighbours = layer.weight[:, d:] if kind == "concat" else layer.weight
        of_self = None if kind == "neighbor" else layer.weight[:, :d]

        if vectors.shape[1] == 1:
            output = weights @ (vectors @ of_neighbours.t()).squeeze(1)[slots]
        else:
            mixed = weights[:, :, 0, None] * vectors[slots[:, 0]]
            for k in range(1, slots.shape[1]):
                mixed = mixed + weights[:, :, k, None] * vectors[slots[:, k]]
            output = mixed @ of_neighbours.t()
        if of_self is not None:
            output = output + own @ of_self.t()
        last = i == model.n_iter - 1
        return (model.Tanh if last else model.ReLU)(output + layer.bias)


class KGCN(SampledNeighbourhood, RecBoleKGCN):
    """RecBole's KGCN.

    - Neighbours are drawn for all entities at once (same distribution, other draws).
    - ``full_sort_predict`` shares work among items (equal values).
    """
