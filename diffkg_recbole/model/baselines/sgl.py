"""SGL with fast products."""

from __future__ import annotations

from typing import Any

from recbole.model.general_recommender.sgl import SGL as RecBoleSGL
from torch import Tensor

from diffkg_recbole.model.baselines.emb_loss import EmbLoss
from diffkg_recbole.model.baselines.sparse_operator import SparseOperator
from diffkg_recbole.model.evaluation_cache import EvaluationCache
from diffkg_recbole.model.losses import info_nce


class SGL(EvaluationCache, RecBoleSGL):
    """RecBole's SGL; its nine products per batch run on CSR operators.

    Its contrast is the one of DiffKG and KGCL, summed: no table of similarities is kept for the
    backward pass, and a node that a batch repeats is compared once.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.reg_loss = EmbLoss()

    def csr2tensor(self, matrix: Any) -> SparseOperator:
        """The operator of a normalised (sub)graph."""
        return SparseOperator.from_scipy(matrix, self.device)

    def calc_ssl_loss(
        self,
        user_list: Tensor,
        pos_item_list: Tensor,
        user_sub1: Tensor,
        user_sub2: Tensor,
        item_sub1: Tensor,
        item_sub2: Tensor,
    ) -> Tensor:
        """RecBole's self-supervised loss of a batch, users and items [B], over all nodes. []."""
        users = info_nce(user_sub1, user_sub2, user_list, self.ssl_tau, reduction="sum")
        items = info_nce(item_sub1, item_sub2, pos_item_list, self.ssl_tau, reduction="sum")
        return (users + items) * self.ssl_weight
