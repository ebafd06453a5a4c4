"""KTUP with scores that can be repeated, and all items at once."""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.knowledge_aware_recommender.ktup import KTUP as RecBoleKTUP
from torch import Tensor

# Numbers held at a time by a full-sort score; 2^23 float32 are 32 MB.
_NUMBERS_PER_BLOCK = 1 << 23


class KTUP(RecBoleKTUP):
    """RecBole's KTUP.

    - Scoring takes the most likely preference. RecBole adds Gumbel noise there too, so that each
      evaluation ranks differently and a reloaded model does not score as it did.
    - ``full_sort_predict`` expands the squared distance, so that all items are scored by matrix
      products (equal to ``predict``).
    - A batch of triples without an item has no alignment loss; RecBole's mean over nothing is NaN
      and ends the training.
    """

    def st_gumbel_softmax(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        """Straight-through Gumbel softmax when training, the one-hot argmax otherwise."""
        if self.training:
            return super().st_gumbel_softmax(logits, temperature)
        return torch.zeros_like(logits).scatter_(-1, logits.argmax(dim=-1, keepdim=True), 1.0)

    def calculate_kg_loss(self, interaction: Any) -> tuple[Tensor, Tensor]:
        """(weighted loss of the triples, alignment loss), both []."""
        loss, align_loss = super().calculate_kg_loss(interaction)
        fields = (self.HEAD_ENTITY_ID, self.TAIL_ENTITY_ID, self.NEG_TAIL_ENTITY_ID)
        entities = torch.cat([interaction[field] for field in fields])
        return loss, torch.where((entities < self.n_items).any(), align_loss, 0.0)

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of all items for the users of a batch, [users * items].

        With ``L1_flag: True`` or ``use_st_gumbel: False`` pairs are scored one by one.
        """
        if self.L1_flag or not self.use_st_gumbel:
            raise NotImplementedError  # the trainer then scores pairs through predict
        users = self.user_embedding(interaction[self.USER_ID])
        items = self.item_embedding.weight + self.entity_embedding.weight[: self.n_items]
        step = max(1, _NUMBERS_PER_BLOCK // (self.n_items * self.n_relations))
        return torch.cat([self._score_items(block, items) for block in users.split(step)]).view(-1)

    def _score_items(self, users: Tensor, items: Tensor) -> Tensor:
        """-‖g - (g·n) n + r‖² with g = u - i, and n, r of the pair's preference. [b, n_items]."""
        shared = self.pref_embedding.weight + self.relation_embedding.weight
        normal = (self.pref_norm_embedding.weight + self.relation_norm_embedding.weight) / 2
        logits = (users @ shared.t()).unsqueeze(1) + items @ shared.t()
        preference, vector = logits.argmax(dim=2), shared / 2

        def difference_with(table: Tensor) -> Tensor:
            """g · table[preference], [b, n_items]."""
            of_users = (users @ table.t()).gather(1, preference)
            return of_users - (items @ table.t()).t().gather(0, preference)

        square = lambda x: x.square().sum(dim=1)  # noqa: E731
        gap = square(users).unsqueeze(1) + square(items) - 2 * users @ items.t()
        along = difference_with(normal)
        return -(
            gap + along.square() * (square(normal) - 2)[preference] + square(vector)[preference]
            + 2 * difference_with(vector)
            - 2 * along * (normal * vector).sum(dim=1)[preference]
        )
