"""The interaction graph of a training step, some of its interactions hidden (mathematics 7.4)."""

from __future__ import annotations

import torch
from torch import Tensor

from diffkg_recbole.model.propagation import BipartiteGraph
from diffkg_recbole.model.sparse import csr_tensor


class InteractionDropout:
    """D^-1/2 B D^-1/2 with interactions dropped as dropout drops values.

    A hidden interaction is zero in both directions, the others are divided by the keep rate, and
    D stays that of all interactions. The sparsity pattern never changes: a step costs one gather
    and no sort, and a GPU need not tell the host how many interactions were kept.

    Args:
        interactions: the training pairs.
        dtype: of the operators.

    Attributes:
        full: the operator with nothing hidden, CSR [n_users + n_items, n_users + n_items].
    """

    def __init__(self, interactions: BipartiteGraph, dtype: torch.dtype = torch.float32) -> None:
        self.full = interactions.operator(self_loops=False, dtype=dtype)
        # Row by row, the entries are the pairs in user order, then the pairs in item order.
        by_user = torch.arange(interactions.n_pairs, device=interactions.item.device)
        by_item = torch.argsort(interactions.item, stable=True)
        self._pair_of_entry = torch.cat((by_user, by_item))

    def operator(self, keep: Tensor, keep_rate: float) -> Tensor:
        """The operator of one step.

        Args:
            keep: [n_pairs] bool, in the order of the bipartite graph's pairs.
            keep_rate: probability with which an interaction was kept.

        Returns:
            symmetric CSR matrix with the pattern of :attr:`full`.
        """
        full = self.full
        n_nodes = full.shape[0]
        factor = (keep.to(full.dtype) / keep_rate).index_select(0, self._pair_of_entry)
        values = full.values() * factor
        return csr_tensor(full.crow_indices(), full.col_indices(), values, (n_nodes, n_nodes))
