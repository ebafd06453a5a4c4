"""NGCF on today's SciPy."""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.general_recommender.ngcf import NGCF as RecBoleNGCF
from torch import Tensor

from diffkg_recbole.model.baselines.emb_loss import EmbLoss
from diffkg_recbole.model.baselines.lightgcn import general_adjacency
from diffkg_recbole.model.evaluation_cache import EvaluationCache


class NGCF(EvaluationCache, RecBoleNGCF):
    """RecBole's NGCF; its adjacency is built by CSR, as ``dok_matrix._update`` is gone.

    It stays a COO tensor: NGCF drops its entries and multiplies inside a layer of RecBole's.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.reg_loss = EmbLoss()

    def calculate_loss(self, interaction: Any) -> Tensor:
        """RecBole's loss, in full precision: its sparse products have no half precision."""
        with torch.autocast(self.device.type, enabled=False):
            return super().calculate_loss(interaction)

    def get_norm_adj_mat(self) -> Any:
        """The normalised adjacency, sparse COO [users + items] square."""
        operator = general_adjacency(self)
        index = torch.stack([operator.pattern.rows, operator.pattern.columns.long()])
        return torch.sparse_coo_tensor(index, operator.values, operator.shape)
