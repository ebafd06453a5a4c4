"""KGNN-LS with its interaction labels in sorted arrays."""

from __future__ import annotations

import torch
from recbole.model.knowledge_aware_recommender.kgnnls import KGNNLS as RecBoleKGNNLS
from torch import Tensor

from diffkg_recbole.model.baselines.kgcn import SampledNeighbourhood


class LabelTable:
    """Labels of (user, item) pairs, looked up by binary search.

    Args:
        positive: keys of the pairs with label 1.
        negative: keys of the pairs with label 0, none of them in ``positive``.
    """

    def __init__(self, positive: Tensor, negative: Tensor) -> None:
        keys = torch.cat([positive, negative])
        labels = torch.cat([torch.ones(len(positive)), torch.zeros(len(negative))])
        self.keys, order = keys.sort()
        self.labels = labels.to(keys.device)[order]

    def __len__(self) -> int:
        return len(self.keys)

    def lookup(self, keys: Tensor) -> Tensor:
        """Label of each key, 0.5 where the pair is unknown; float32, shape of ``keys``."""
        position = torch.searchsorted(self.keys, keys).clamp_(max=len(self.keys) - 1)
        unknown = self.labels.new_full((), 0.5)
        return torch.where(self.keys[position] == keys, self.labels[position], unknown)


class KGNNLS(SampledNeighbourhood, RecBoleKGNNLS):
    """RecBole's KGNN-LS.

    - Neighbours are drawn for all entities at once (same distribution, other draws).
    - Labels are looked up for a whole batch, not by a Python call per entity, and by int64 keys:
      RecBole's int32 keys overflow from about 2,000 users on with a million entities, and all
      labels of those users are lost.
    - ``full_sort_predict`` shares work among items (equal values).

    With RecBole's default ``n_iter`` 1, no item is within reach of label propagation on a graph
    whose items are not linked to each other, and KGNN-LS equals KGCN: the plugin's default is 2.
    """

    interaction_table: LabelTable

    def get_interaction_table(
        self, user_id: Tensor, item_id: Tensor, y: Tensor
    ) -> tuple[LabelTable, int]:
        """Table of the positive pairs, and the factor of the user in a key."""
        offset = self.n_entities
        positive = torch.unique((user_id.long() * offset + item_id.long()).to(self.device))
        return LabelTable(positive, positive.new_empty(0)), offset

    def sample_neg_interaction(
        self, pos_interaction_table: LabelTable, offset: int
    ) -> LabelTable:
        """Add as many uniform pairs without interaction as there are positives (repeats merge)."""
        positive = pos_interaction_table.keys
        drawn: list[Tensor] = []
        missing = len(positive)
        while missing > 0:
            users = torch.randint(1, self.n_users, (missing,)).to(positive.device)
            items = torch.randint(1, self.n_items, (missing,)).to(positive.device)
            keys = users * offset + items
            drawn.append(keys[pos_interaction_table.lookup(keys) == 0.5])
            missing -= len(drawn[-1])
        negative = torch.unique(torch.cat(drawn)) if drawn else positive.new_empty(0)
        return LabelTable(positive, negative)

    def label_smoothness_predict(
        self, user_embeddings: Tensor, user: Tensor, entities: list[Tensor],
        relations: list[Tensor],
    ) -> Tensor:
        """Labels of the items from their neighbours' by label propagation (KGNN-LS eq. 8).

        Args:
            user_embeddings: [b, d].
            user: [b].
            entities: item and sampled neighbours by hop, [b, K^hop].
            relations: relations to them, [b, K^(hop + 1)].

        Returns:
            [b].
        """
        keys = [user.unsqueeze(1) * self.offset + hop for hop in entities]
        held_out = [hop == entities[0] for hop in entities]
        labels = [
            self.interaction_table.lookup(key).masked_fill(held, 0.5)
            for key, held in zip(keys, held_out)
        ]
        fixed = [label != 0.5 for label in labels]
        weights = [
            (self.relation_embedding(hop) @ user_embeddings.unsqueeze(2)).squeeze(2)
            .div(self.embedding_size).view(len(user), -1, self.neighbor_sample_size)
            .softmax(dim=-1)
            for hop in relations
        ]
        for i in range(self.n_iter):
            labels = [
                torch.where(
                    fixed[hop], labels[hop],
                    (weights[hop] * labels[hop + 1].view_as(weights[hop])).mean(dim=-1),
                )
                for hop in range(self.n_iter - i)
            ]
        return labels[0].squeeze(-1)
