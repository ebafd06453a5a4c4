"""CKE without a matrix per triple."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from recbole.model.knowledge_aware_recommender.cke import CKE as RecBoleCKE
from torch import Tensor

from diffkg_recbole.model.baselines.emb_loss import EmbLoss
from diffkg_recbole.model.baselines.relation_groups import RelationGroups


class CKE(RecBoleCKE):
    """RecBole's CKE; entities are projected relation by relation (equal values)."""

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.reg_loss = EmbLoss()

    def _get_kg_embedding(
        self, h: Tensor, r: Tensor, pos_t: Tensor, neg_t: Tensor
    ) -> tuple[Tensor, ...]:
        groups = RelationGroups(r, self.n_relations)
        matrices = self.trans_w.weight.view(-1, self.embedding_size, self.kg_embedding_size)
        projected = (groups.product(self.entity_embedding(e), matrices) for e in (h, pos_t, neg_t))
        h_e, pos_t_e, neg_t_e = (F.normalize(p, p=2, dim=1) for p in projected)
        r_e = F.normalize(self.relation_embedding(r), p=2, dim=1)
        return h_e, r_e, pos_t_e, neg_t_e, matrices
