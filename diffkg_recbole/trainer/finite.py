"""Losses that are infinite or not a number: found without a wait for the device at every step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from diffkg_recbole.errors import DivergedError


class LossSums:
    """Sums of loss terms over the steps of an epoch, and the first step that spoilt each.

    Both stay on the device until :meth:`check`.

    Args:
        names: of the terms.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.total: Tensor | None = None
        self._first: Tensor | None = None
        self._steps = 0

    def add(self, losses: Tensor) -> None:
        """Add the terms of one step, detached, [terms]."""
        self._steps += 1
        if self.total is None or self._first is None:
            self.total = torch.zeros_like(losses)
            self._first = torch.zeros(losses.shape, dtype=torch.int64, device=losses.device)
        self.total = self.total + losses
        new = ~losses.isfinite() & (self._first == 0)
        self._first = self._first.masked_fill(new, self._steps)

    def check(self, total: Tensor, epoch: int, model: nn.Module) -> None:
        """Stop at sums that are not finite.

        Args:
            total: the sums, of all processes.
            epoch: number of the epoch.
            model: whose largest norm is named.

        Raises:
            DivergedError: naming epoch, step, term and the parameter.
        """
        if bool(total.isfinite().all()) or self._first is None:
            return
        term = int((~total.isfinite()).nonzero()[0])
        bad = self._first > 0
        step = int(self._first[bad].min()) if bool(bad.any()) else 0
        if step:
            term = int((self._first == step).nonzero()[0])
        name = self.names[term] if len(self.names) == len(total) else f"loss{term + 1}"
        where = f"epoch {epoch}, step {step}" if step else f"epoch {epoch}"
        raise DivergedError(f"the training diverged in {where}: the term '{name}' is infinite or "
                            f"not a number; {largest_norm(model)}")


@torch.no_grad()
def largest_norm(model: nn.Module) -> str:
    """The parameter with the largest norm, its own or its gradient's, and what may help."""
    found = ("no parameter", "", 0.0)
    for name, parameter in model.named_parameters():
        for kind, tensor in (("", parameter), ("the gradient of ", parameter.grad)):
            if tensor is not None and not tensor.is_sparse:
                norm = float(torch.linalg.vector_norm(tensor, dtype=torch.float64))
                if not norm <= found[2]:  # not a number counts as the largest
                    found = (name, kind, norm)
                if norm != norm:
                    break
    name, kind, norm = found
    return (f"the largest norm is that of {kind}{name} ({norm:.3g}); a smaller learning_rate may "
            "help, and the last good checkpoint stays")
