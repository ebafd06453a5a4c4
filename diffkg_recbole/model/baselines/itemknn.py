"""ItemKNN without a dense score matrix in Python lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.model.general_recommender.itemknn import ComputeSimilarity
from recbole.model.general_recommender.itemknn import ItemKNN as RecBoleItemKNN

from diffkg_recbole.model.baselines.item_similarity import FactoredScores


class ItemKNN(FactoredScores, RecBoleItemKNN):
    """RecBole's ItemKNN; similarities are RecBole's, scores are multiplied out batch by batch.

    RecBole multiplies them out for all users at once into a list-of-lists matrix, and puts that
    into the checkpoint.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        GeneralRecommender.__init__(self, config, dataset)
        self.k, self.method = config["k"], config["knn_method"]
        self.shrink = config["shrink"] or 0.0
        interactions = dataset.inter_matrix(form="csr").astype(np.float32)
        _, weights = ComputeSimilarity(
            interactions, topk=self.k, shrink=self.shrink, method=self.method
        ).compute_similarity()
        by_user = self.method == "user"
        self.left, self.right = (
            (weights.tocsr(), interactions) if by_user else (interactions, weights.tocsr())
        )
        self.fake_loss = torch.nn.Parameter(torch.zeros(1))
