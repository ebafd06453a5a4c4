"""Popularity, counted exactly."""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.general_recommender.pop import Pop as RecBolePop
from torch import Tensor


class Pop(RecBolePop):
    """RecBole's Pop with exact counts: an item's score is its number of training interactions.

    RecBole counts in ``calculate_loss``, where an item that occurs several times in a batch counts
    once, and where the sampled negatives of the batch count too.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        items = dataset.inter_feat[dataset.iid_field].to(self.device)
        self.item_cnt = torch.bincount(items, minlength=self.n_items).unsqueeze(1)
        self.max_cnt = self.item_cnt.max(dim=0).values

    def calculate_loss(self, interaction: Any) -> Tensor:
        """Nothing to learn: a zero that the trainer can differentiate."""
        return self.fake_loss.sum() * 0.0
