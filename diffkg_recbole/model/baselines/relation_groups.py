"""One matrix per relation applied to many vectors, without a copy of the matrix per vector."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from diffkg_recbole.model.blocks import block_entries


class RelationGroups:
    """Rows of a batch grouped by their relation.

    RecBole looks the d × k matrix up for every triple of the batch: 2,048 triples at d = k = 64
    are 33 MB, and RippleNet's memories 0.5 GB per hop. Grouped, each matrix is read once. On an
    accelerator the host would wait for the sizes of the groups, so that there the matrices are
    looked up as long as they fit a temporary matrix.

    Args:
        relation: relation of each row, [n] int64.
        n_relations: number of relations.
    """

    def __init__(self, relation: Tensor, n_relations: int) -> None:
        self.relation, self.n_relations = relation, n_relations

    @cached_property
    def _order(self) -> Tensor:
        return torch.argsort(self.relation, stable=True)

    @cached_property
    def _original(self) -> Tensor:
        original = torch.empty_like(self._order)
        original[self._order] = torch.arange(len(original), device=original.device)
        return original

    @cached_property
    def _sizes(self) -> list[int]:
        return torch.bincount(self.relation, minlength=self.n_relations).tolist()

    def product(self, x: Tensor, matrices: Tensor) -> Tensor:
        """x[i] @ matrices[relation[i]] for every row.

        Args:
            x: [n, d].
            matrices: [n_relations, d, k].

        Returns:
            [n, k], in the order of ``relation``.
        """
        entries = len(self.relation) * matrices[0].numel()
        if x.device.type != "cpu" and entries <= block_entries(x.device):
            return torch.bmm(x.unsqueeze(1), matrices[self.relation]).squeeze(1)
        parts = x.index_select(0, self._order).split(self._sizes)
        products = [part @ matrix for part, matrix in zip(parts, matrices.unbind(0)) if len(part)]
        if not products:
            return x.new_zeros(0, matrices.shape[2])
        return torch.cat(products).index_select(0, self._original)
