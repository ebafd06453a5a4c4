"""One matrix per relation applied to many vectors, without a copy of the matrix per vector."""

from __future__ import annotations

import torch
from torch import Tensor


class RelationGroups:
    """Rows of a batch grouped by their relation.

    RecBole looks the d × k matrix up for every triple of the batch: 2,048 triples at d = k = 64
    are 33 MB, and RippleNet's memories 0.5 GB per hop. Grouped, each matrix is read once.

    Args:
        relation: relation of each row, [n] int64.
        n_relations: number of relations.
    """

    def __init__(self, relation: Tensor, n_relations: int) -> None:
        self.order = torch.argsort(relation, stable=True)
        self.original = torch.empty_like(self.order)
        self.original[self.order] = torch.arange(len(relation), device=relation.device)
        self.sizes = torch.bincount(relation, minlength=n_relations).tolist()

    def product(self, x: Tensor, matrices: Tensor) -> Tensor:
        """x[i] @ matrices[relation[i]] for every row.

        Args:
            x: [n, d].
            matrices: [n_relations, d, k].

        Returns:
            [n, k], in the order of ``relation``.
        """
        parts = x.index_select(0, self.order).split(self.sizes)
        products = [part @ matrix for part, matrix in zip(parts, matrices.unbind(0)) if len(part)]
        if not products:
            return x.new_zeros(0, matrices.shape[2])
        return torch.cat(products).index_select(0, self.original)
