"""MCCLK's contrast of two views over a batch, each node computed once however often it occurs.

RecBole compares all rows of a batch with each other. A batch of 1,024 triples holds 2,048 items,
drawn from few: on ml-100k half of them are repetitions, so that three quarters of the similarities
are, and so are those of the second view with the first, which are the transpose of the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Occurrences:
    """The distinct nodes of a batch.

    Attributes:
        node: the n node numbers, ascending, [n] int64.
        row: a row of the batch that holds the node, one for each node, [n] int64.
        count: how often the node occurs, [n] float32.
    """

    node: Tensor
    row: Tensor
    count: Tensor

    @classmethod
    def of(cls, nodes: Tensor) -> Occurrences:
        """Of node numbers [B] int64."""
        distinct, place, count = torch.unique(nodes, return_inverse=True, return_counts=True)
        row = torch.empty_like(distinct).scatter_(
            0, place, torch.arange(len(nodes), device=nodes.device))
        return cls(distinct, row, count.float())

    def mean(self, losses: Tensor) -> Tensor:
        """Mean over the batch of the losses of its nodes, [n] to []."""
        return self.count @ losses / self.count.sum()


def contrast(
    first: Tensor, second: Tensor, count: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """MCCLK's contrastive loss of each node in two views, seen from either (eq. 10 to 13).

    -log exp(a_i·b_i / τ) / (Σ_j exp(a_i·b_j / τ) + Σ_{j ≠ i} exp(a_i·a_j / τ)) for the rows a and
    b of the views, made unit; and with a and b exchanged. j runs over the rows of the batch:
    node j stands for ``count[j]`` of them, of which only row i itself is left out.

    Args:
        first, second: the views, [n, d].
        count: how often each node occurs in the batch, [n] float.
        temperature: τ > 0.

    Returns:
        two losses, [n] each.
    """
    a = F.normalize(first) / temperature**0.5
    b = F.normalize(second) / temperature**0.5
    agreement = (a * b).sum(1)
    between = torch.exp(a @ b.t())

    def loss(view: Tensor, across: Tensor) -> Tensor:
        within = torch.exp(view @ view.t())
        return torch.log(within @ count - within.diagonal() + across @ count) - agreement

    return loss(a, between), loss(b, between.t())
