"""GCMC on today's SciPy."""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.general_recommender.gcmc import GCMC as RecBoleGCMC
from torch import Tensor

from diffkg_recbole.model.baselines.lightgcn import general_adjacency
from diffkg_recbole.model.baselines.sparse_operator import SparseOperator
from diffkg_recbole.model.evaluation_cache import EvaluationCache


class GCMC(EvaluationCache, RecBoleGCMC):
    """RecBole's GCMC.

    - Its adjacency is built by CSR, as ``dok_matrix._update`` is gone.
    - ``full_sort_predict`` encodes once per evaluation instead of once per batch, and adds up the
      decoder's basis matrices before the product with the items instead of after it: the score
      Σ_w c_w (u W_w) · v equals (u Σ_w c_w W_w) · v.
    """

    restore_user_e: Tensor | None
    restore_item_e: Tensor | None

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.forget()

    def calculate_loss(self, interaction: Any) -> Tensor:
        """RecBole's loss, in full precision: its sparse products have no half precision."""
        with torch.autocast(self.device.type, enabled=False):
            return super().calculate_loss(interaction)

    def get_norm_adj_mat(self) -> SparseOperator:
        """The normalised adjacency, [users + items] square."""
        return general_adjacency(self)

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of all items for the users of a batch, [users * items]."""
        if self.restore_user_e is None or self.restore_item_e is None:
            users, items = self.GcEncoder(self.user_features, self.item_features)
            weights = self.BiDecoder.dense_layer.weight[1]  # of the class "interacted"
            combined = torch.stack(list(self.BiDecoder.weights), dim=-1) @ weights
            self.restore_user_e, self.restore_item_e = users @ combined, items
        users = self.restore_user_e[interaction[self.USER_ID]]
        return (users @ self.restore_item_e.t()).view(-1)
