"""MultiVAE that resumes where it stopped."""

from __future__ import annotations

from typing import Any

from recbole.model.general_recommender.multivae import MultiVAE as RecBoleMultiVAE
from torch import Tensor


class MultiVAE(RecBoleMultiVAE):
    """RecBole's MultiVAE.

    - The step of the KL annealing is part of the checkpoint; RecBole starts it anew on resuming.
    - ``predict`` indexes with a tuple; a list of tensors is deprecated.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.other_parameter_name = ["update"]

    def predict(self, interaction: Any) -> Tensor:
        """Scores of the pairs of a batch, [n]."""
        scores, _, _ = self.forward(self.get_rating_matrix(interaction[self.USER_ID]))
        return scores.gather(1, interaction[self.ITEM_ID].unsqueeze(1)).squeeze(1)
