"""LightGCN on today's SciPy."""

from __future__ import annotations

from typing import Any

from recbole.model.general_recommender.lightgcn import LightGCN as RecBoleLightGCN

from diffkg_recbole.model.baselines.emb_loss import EmbLoss
from diffkg_recbole.model.baselines.sparse_operator import (
    SparseOperator,
    bipartite_adjacency,
    normalise_symmetric,
)
from diffkg_recbole.model.evaluation_cache import EvaluationCache

# Added to every degree by RecBole's general graph models.
DEGREE_EPSILON = 1e-7


def general_adjacency(model: Any) -> SparseOperator:
    """(D + ε)^-1/2 A (D + ε)^-1/2 of a general model's interactions, users first."""
    pairs = model.interaction_matrix
    adjacency = bipartite_adjacency(pairs.row, pairs.col, model.n_users, model.n_items)
    return SparseOperator.from_scipy(normalise_symmetric(adjacency, DEGREE_EPSILON))


class LightGCN(EvaluationCache, RecBoleLightGCN):
    """RecBole's LightGCN; its adjacency is built by CSR, as ``dok_matrix._update`` is gone."""

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.reg_loss = EmbLoss()

    def get_norm_adj_mat(self) -> SparseOperator:
        """The normalised adjacency, [users + items] square."""
        return general_adjacency(self)
