"""KGCL as RecBole sees it: ids with [PAD], batches as Interactions."""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.abstract_recommender import KnowledgeRecommender
from recbole.utils import InputType
from torch import Tensor

from diffkg_recbole.model.baselines.evaluation_cache import EvaluationCache
from diffkg_recbole.model.diffkg.recommender import compact_graph
from diffkg_recbole.model.kgcl.draws import KGCLDraws
from diffkg_recbole.model.kgcl.network import KGCLLosses, KGCLNetwork
from diffkg_recbole.model.kgcl.settings import KGCLSettings
from diffkg_recbole.model.propagation import BipartiteGraph


class KGCL(EvaluationCache, KnowledgeRecommender):
    """KGCL (Yang, Huang, Xia, Li: "Knowledge Graph Contrastive Learning for Recommendation",
    SIGIR 2022), as the authors' later program computes it.

    That is the program behind their numbers for Last-FM, MIND and Alibaba-iFashion. Their
    program of 2022 differs (batch 2048, three layers with a mean read-out, the first N
    neighbours of an entity, separate tables for users and entities, masks per item) and gives
    other results; :class:`~diffkg_recbole.model.kgcl.network.KGCLNetwork` lists what is computed.

    RecBole's ids start at 1; subtracting 1 makes them the network's compact ids, so that [PAD]
    takes no part. Embeddings for prediction are computed once per evaluation.

    Args:
        config: configuration.
        dataset: training part of a knowledge dataset.
    """

    input_type = InputType.PAIRWISE
    settings_class = KGCLSettings
    loss_names = ("bpr", "l2", "contrastive")
    cached = ("_ranked",)

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        interactions = BipartiteGraph(
            (dataset.inter_feat[self.USER_ID] - 1).to(self.device),
            (dataset.inter_feat[self.ITEM_ID] - 1).to(self.device),
            self.n_users - 1,
            self.n_items - 1,
        )
        self.network = KGCLNetwork(
            compact_graph(dataset).to(self.device),
            interactions,
            KGCLSettings.from_config(config),
            KGCLDraws(config["seed"], self.device),
        )
        self._ranked: tuple[Tensor, Tensor] | None = None

    # ---- training -----------------------------------------------------------------------------

    def calculate_loss(self, interaction: Any) -> KGCLLosses:
        """Ranking, L2 and contrastive loss of a batch of (user, positive, negative)."""
        return self.network.losses(
            interaction[self.USER_ID] - 1,
            interaction[self.ITEM_ID] - 1,
            interaction[self.NEG_ITEM_ID] - 1,
        )

    # ---- prediction ---------------------------------------------------------------------------

    @torch.no_grad()
    def _representations(self) -> tuple[Tensor, Tensor]:
        """Users [U, d], and items behind a row of zeros for [PAD] [I + 1, d]."""
        if self._ranked is None:
            users, items = self.network()
            self._ranked = users, torch.cat([items.new_zeros(1, items.shape[1]), items])
        return self._ranked

    def predict(self, interaction: Any) -> Tensor:
        """Scores of (user, item) pairs. [B]."""
        users, items = self._representations()
        return (users[interaction[self.USER_ID] - 1] * items[interaction[self.ITEM_ID]]).sum(1)

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of the users for every item; [PAD] is -inf. [B * (I + 1)]."""
        users, items = self._representations()
        scores = users[interaction[self.USER_ID] - 1] @ items.T
        scores[:, 0] = -torch.inf
        return scores.view(-1)
