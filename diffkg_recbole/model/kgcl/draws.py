"""The random draws that KGCL makes beyond those that all models share."""

from __future__ import annotations

import torch
from torch import Tensor

from diffkg_recbole.model.draws import Draws


class KGCLDraws(Draws):
    """Draws of :class:`~diffkg_recbole.model.draws.Draws` and those of KGCL's schedule.

    What is drawn once per epoch comes from the host generator (equal on every device), what is
    drawn in every step from the generator of the model's device.
    """

    def kg_subset(self, n_edges: int, n_kept: int) -> Tensor:
        """Edges of one view's knowledge graph, uniform without replacement.

        Returns:
            [n_kept] int64, ascending, on the host.
        """
        return torch.randperm(n_edges, generator=self._host)[:n_kept].sort().values

    def interaction_uniform(self, n_interactions: int) -> Tensor:
        """Uniform numbers behind one view's Bernoulli draws. [n_interactions] float64, host."""
        return torch.rand(n_interactions, generator=self._host, dtype=torch.float64)

    def kg_keep(self, n_edges: int, keep: float) -> Tensor:
        """Knowledge-graph edges of one training step, True with probability ``keep``.
        [n_edges] bool, on the model's device."""
        return torch.rand(n_edges, generator=self._device, device=self.device) < keep

    def interaction_keep(self, n_interactions: int, keep: float) -> Tensor:
        """Interactions of one training step, True with probability ``keep``.
        [n_interactions] bool, on the model's device."""
        return torch.rand(n_interactions, generator=self._device, device=self.device) < keep

    def triple_order(self, n_triples: int) -> Tensor:
        """Order of the triples in one TransE epoch. [n_triples] int64, on the host."""
        return torch.randperm(n_triples, generator=self._host)

    def corrupted_tails(self, n_triples: int, n_entities: int) -> Tensor:
        """Uniform entities, candidates for wrong tails. [n_triples] int64, on the host."""
        return torch.randint(n_entities, (n_triples,), generator=self._host)
