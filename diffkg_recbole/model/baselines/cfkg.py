"""CFKG with a full-sort score."""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.knowledge_aware_recommender.cfkg import CFKG as RecBoleCFKG
from torch import Tensor


class CFKG(RecBoleCFKG):
    """RecBole's CFKG; all items are scored by one product instead of pair by pair (equal)."""

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of all items for the users of a batch, [users * items]."""
        users = self.user_embedding(interaction[self.USER_ID])
        wanted = users + self.relation_embedding.weight[-1]
        items = self.entity_embedding.weight[: self.n_items]
        if self.loss_function == "transe":
            exact = "donot_use_mm_for_euclid_dist"
            return -torch.cdist(wanted, items, compute_mode=exact).view(-1)
        return (wanted @ items.t()).view(-1)
