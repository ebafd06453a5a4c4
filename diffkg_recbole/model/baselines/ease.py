"""EASE with a checkpoint of plain data."""

from __future__ import annotations

from typing import Any

import numpy as np
from recbole.model.general_recommender.ease import EASE as RecBoleEASE

from diffkg_recbole.model.baselines.item_similarity import FactoredScores


class EASE(FactoredScores, RecBoleEASE):
    """RecBole's EASE; similarities are RecBole's, the checkpoint holds tensors."""

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.left, self.right = self.interaction_matrix, np.asarray(self.item_similarity)
        del self.interaction_matrix, self.item_similarity
