"""SGL with fast products."""

from __future__ import annotations

from typing import Any

from recbole.model.general_recommender.sgl import SGL as RecBoleSGL

from diffkg_recbole.model.baselines.evaluation_cache import EvaluationCache
from diffkg_recbole.model.baselines.sparse_operator import SparseOperator


class SGL(EvaluationCache, RecBoleSGL):
    """RecBole's SGL; its nine products per batch run on CSR operators."""

    def csr2tensor(self, matrix: Any) -> SparseOperator:
        """The operator of a normalised (sub)graph."""
        return SparseOperator.from_scipy(matrix, self.device)
