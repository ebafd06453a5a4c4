"""RecBole's penalty on embeddings without a wait for the device."""

from __future__ import annotations

import torch
from recbole.model.loss import EmbLoss as RecBoleEmbLoss
from torch import Tensor


class EmbLoss(RecBoleEmbLoss):
    """RecBole's EmbLoss; its sum starts on the device instead of being copied there, for which
    the host waits at every step (equal values)."""

    def forward(self, *embeddings: Tensor, require_pow: bool = False) -> Tensor:
        """Sum of the embeddings' norms (``require_pow``: norm^p / p) over the rows of a batch.

        Args:
            embeddings: [B, d] each.

        Returns:
            [1].
        """
        total = torch.zeros(1, device=embeddings[-1].device)
        for embedding in embeddings:
            norm = torch.norm(embedding, p=self.norm)
            total = total + (norm.pow(self.norm) if require_pow else norm)
        total = total / embeddings[-1].shape[0]
        return total / self.norm if require_pow else total
