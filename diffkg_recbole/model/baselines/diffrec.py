"""DiffRec that resumes where it stopped, without a Python loop over users."""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.general_recommender.diffrec import DiffRec as RecBoleDiffRec
from torch import Tensor


class DiffRec(RecBoleDiffRec):
    """RecBole's DiffRec.

    - The loss history behind the importance sampling of time steps is part of the checkpoint.
    - It is updated for a whole batch at once (equal values); RecBole copies it for every user.
    """

    Lt_history: Tensor  # [steps, history_num_per_term] float64
    Lt_count: Tensor  # [steps] int64

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.other_parameter_name = ["Lt_history", "Lt_count"]

    def update_Lt_history(self, ts: Tensor, reloss: Tensor) -> None:
        """Append each user's loss to its step's history, which keeps the last entries.

        Args:
            ts: time step of each user, [b] int64.
            reloss: loss of each user, [b].
        """
        size, n_steps = self.history_num_per_term, self.steps
        # Old entries (in their order) and new ones (in batch order) of each step, the last `size`.
        slot = torch.arange(size, device=ts.device).expand(n_steps, size)
        held = slot < self.Lt_count.unsqueeze(1)
        step = torch.cat([slot.new_tensor(range(n_steps)).repeat_interleave(size)[held.flatten()],
                          ts])
        value = torch.cat([self.Lt_history[held], reloss.detach().to(self.Lt_history.dtype)])
        order = torch.argsort(step, stable=True)
        step, value = step[order], value[order]
        count = torch.bincount(step, minlength=n_steps)
        rank = torch.arange(len(step), device=ts.device) - (count.cumsum(0) - count)[step]
        dropped = (count - size).clamp_(min=0)
        keep = rank >= dropped[step]
        history = torch.zeros_like(self.Lt_history)
        history[step[keep], (rank - dropped[step])[keep]] = value[keep]
        self.Lt_history, self.Lt_count = history, count.clamp_(max=size)
