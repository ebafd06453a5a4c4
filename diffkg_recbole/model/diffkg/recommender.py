"""DiffKG as RecBole sees it: ids with [PAD], batches as Interactions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from recbole.model.abstract_recommender import KnowledgeRecommender
from recbole.utils import InputType
from torch import Tensor, nn

from diffkg_recbole.errors import ConfigurationError
from diffkg_recbole.model.diffkg.network import DiffKGNetwork
from diffkg_recbole.model.diffkg.settings import DiffKGSettings
from diffkg_recbole.model.draws import Draws
from diffkg_recbole.model.graph import KnowledgeGraph


def compact_graph(dataset: Any) -> KnowledgeGraph:
    """Knowledge graph of a RecBole dataset in compact ids ([PAD] and [UI-Relation] left out).

    Raises:
        ConfigurationError: the dataset already holds inverse relations.
    """
    if dataset.kg_reverse_r:
        raise ConfigurationError(
            "kg_reverse_r", True, "False: the model adds the inverse relations itself"
        )
    triples = np.stack([dataset.head_entities, dataset.relations, dataset.tail_entities], axis=1)
    return KnowledgeGraph.from_triples(triples - 1, dataset.entity_num - 1,
                                       dataset.relation_num - 2)


class DiffKG(KnowledgeRecommender):
    """DiffKG (Jiang, Yang, Xia, Huang: "DiffKG: Knowledge Graph Diffusion Model for
    Recommendation", WSDM 2024, arXiv 2312.16890).

    The mathematics is in :class:`~diffkg_recbole.model.diffkg.network.DiffKGNetwork`; RecBole
    ids, which start at 1, become its compact ids by subtracting 1, so that [PAD] takes no part.
    Embeddings for prediction are computed once and kept until training goes on.

    Args:
        config: configuration.
        dataset: training part of a knowledge dataset.
    """

    input_type = InputType.PAIRWISE
    settings_class = DiffKGSettings
    loss_names = ("bpr", "l2", "contrastive")

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.settings = DiffKGSettings.from_config(config)
        self.network = DiffKGNetwork(
            self.n_users - 1, self.n_items - 1, compact_graph(dataset),
            dataset.inter_feat[self.USER_ID] - 1, dataset.inter_feat[self.ITEM_ID] - 1,
            self.settings, Draws(config["seed"], self.device),
        )
        self._ranked: tuple[Tensor, Tensor] | None = None

    @staticmethod
    def variant_of(config: Any) -> str | None:
        """What of the full method a configuration replaces, for labels."""
        return DiffKGSettings.from_config(config).variant()

    def epoch_report(self) -> dict[str, Any]:
        """Diagnostics of the rebuilt graph after an epoch."""
        return {"graph": self.network.rebuild_report}

    # ---- training ----------------------------------------------------------------------------

    def recommender_parameters(self) -> list[nn.Parameter]:
        """Parameters of the trainer's first optimizer."""
        return self.network.recommender_parameters()

    def train(self, mode: bool = True) -> DiffKG:
        """As ``nn.Module.train``; kept embeddings are dropped when training goes on."""
        if mode:
            self._ranked = None
        return super().train(mode)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As ``nn.Module.load_state_dict``; kept embeddings are dropped."""
        self._ranked = None
        return super().load_state_dict(*args, **kwargs)

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Ranking, L2 and contrastive loss of a batch of (user, positive, negative)."""
        return self.network.recommender_losses(
            interaction[self.USER_ID] - 1, interaction[self.ITEM_ID] - 1,
            interaction[self.NEG_ITEM_ID] - 1,
        )

    # ---- prediction ----------------------------------------------------------------------------

    @torch.no_grad()
    def _representations(self) -> tuple[Tensor, Tensor]:
        """Users [U, d], and items behind a row of zeros for [PAD] [I + 1, d]."""
        if self._ranked is None:
            users, items = self.network.represent(self.network.main_graph())
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
