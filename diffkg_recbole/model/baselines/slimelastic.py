"""SLIM by elastic nets, without a format conversion per item."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.model.general_recommender.slimelastic import SLIMElastic as RecBoleSLIMElastic
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet

from diffkg_recbole.model.baselines.item_similarity import FactoredScores


class SLIMElastic(FactoredScores, RecBoleSLIMElastic):
    """RecBole's SLIMElastic: one elastic net per item, on the same columns with the same settings.

    RecBole converts the whole matrix from a list of lists for every item, which takes four times
    as long as the nets themselves on ml-100k. Here an item is hidden by zeroing its stored
    entries in place. The checkpoint holds tensors.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        GeneralRecommender.__init__(self, config, dataset)
        self.hide_item = config["hide_item"]
        self.left = dataset.inter_matrix(form="csr").astype(np.float32)
        net = ElasticNet(
            alpha=config["alpha"], l1_ratio=config["l1_ratio"], positive=config["positive_only"],
            fit_intercept=False, copy_X=False, selection="random", max_iter=100, tol=1e-4,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=ConvergenceWarning)
            self.right = self._fit(net, self.left.tocsc())
        self.dummy_param = torch.nn.Parameter(torch.zeros(1))

    def _fit(self, net: ElasticNet, interactions: Any) -> Any:
        """Coefficients of every item, csr_matrix [n_items, n_items], one column a net."""
        columns = []
        for j in range(interactions.shape[1]):
            stored = slice(interactions.indptr[j], interactions.indptr[j + 1])
            kept = interactions.data[stored].copy()
            target = interactions[:, [j]].toarray().ravel()
            if self.hide_item:
                interactions.data[stored] = 0.0
            columns.append(net.fit(interactions, target).sparse_coef_)
            interactions.data[stored] = kept
        return sp.csr_matrix(sp.vstack(columns).T)
