"""RecBole's penalty on embeddings without a wait for the device, of the whole batch."""

from __future__ import annotations

import torch
from recbole.model.loss import EmbLoss as RecBoleEmbLoss
from torch import Tensor

from diffkg_recbole.parallel import norms_of_the_batch


class EmbLoss(RecBoleEmbLoss):
    """RecBole's EmbLoss.

    - Its sum starts on the device instead of being copied there, for which the host waits at
      every step (equal values).
    - Data parallel, the norms are those of the whole batch.
    """

    def forward(self, *embeddings: Tensor, require_pow: bool = False) -> Tensor:
        """Sum of the embeddings' norms (``require_pow``: norm^p / p) over the rows of a batch.

        Args:
            embeddings: [B, d] each.

        Returns:
            [1].
        """
        total = torch.zeros(1, device=embeddings[-1].device)
        norms = torch.stack([torch.norm(embedding, p=self.norm) for embedding in embeddings])
        norms = norms.pow(self.norm) if require_pow else norms_of_the_batch(norms, self.norm)
        for norm in norms:  # one by one, in RecBole's order
            total = total + norm
        total = total / embeddings[-1].shape[0]
        return total / self.norm if require_pow else total
