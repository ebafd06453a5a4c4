"""Between RecBole's ids, which start at 1 behind [PAD], and the networks' compact ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from recbole.model.abstract_recommender import KnowledgeRecommender
from recbole.utils import InputType
from torch import Tensor

from diffkg_recbole.errors import ConfigurationError
from diffkg_recbole.model.evaluation_cache import EvaluationCache
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


class CompactRecommender(EvaluationCache, KnowledgeRecommender):
    """A network on compact ids as RecBole sees it: subtracting 1 from every id keeps [PAD] out.

    A score is the dot product of a user's and an item's representation; representations are
    computed once per evaluation and forgotten when the model changes.

    A subclass provides ``self.network.recommender_losses(user, positive, negative)``,
    ``loss_names``, among them ``summed_losses`` (the sums over the rows of a batch, which
    data-parallel training scales), and :meth:`representations`.
    """

    input_type = InputType.PAIRWISE
    cached = ("_ranked",)
    network: Any

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self._ranked: tuple[Tensor, Tensor] | None = None

    def training_pairs(self, dataset: Any) -> tuple[Tensor, Tensor]:
        """Users and items of the training interactions in compact ids, int64 [P] each."""
        return dataset.inter_feat[self.USER_ID] - 1, dataset.inter_feat[self.ITEM_ID] - 1

    def representations(self) -> tuple[Tensor, Tensor]:
        """Users [U, d] and items [I, d] for ranking."""
        raise NotImplementedError

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """Losses of a batch of (user, positive, negative), one for each of ``loss_names``."""
        return self.network.recommender_losses(
            interaction[self.USER_ID] - 1, interaction[self.ITEM_ID] - 1,
            interaction[self.NEG_ITEM_ID] - 1,
        )

    @torch.no_grad()
    def _representations(self) -> tuple[Tensor, Tensor]:
        """Users [U, d], and items behind a row of zeros for [PAD] [I + 1, d]."""
        if self._ranked is None:
            users, items = self.representations()
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
