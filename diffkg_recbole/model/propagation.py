"""Collaborative propagation over the user-item graph (LightGCN; mathematics 3.2)."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from diffkg_recbole.model.sparse import CsrPattern, row_starts, symmetric_series


class BipartiteGraph:
    """Distinct user-item pairs, from which normalised operators are made without sorting again.

    Nodes are numbered users first: user u is node u, item i is node n_users + i.

    Args:
        user: user of each interaction, [P] integer, in any order, repeats allowed.
        item: item of each interaction, [P] integer.
        n_users: number of users, with or without interactions.
        n_items: number of items, likewise.

    Attributes:
        user, item: the distinct pairs, sorted by (user, item), [n_pairs] int64 each.

    Raises:
        ValueError: different lengths, or an id outside its range.
    """

    def __init__(self, user: Tensor, item: Tensor, n_users: int, n_items: int) -> None:
        user, item = torch.as_tensor(user).long(), torch.as_tensor(item).long()
        if user.shape != item.shape or user.ndim != 1:
            raise ValueError("user and item must be vectors of one length")
        for name, ids, size in (("user", user, n_users), ("item", item, n_items)):
            if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < size:
                raise ValueError(f"{name} ids must lie in 0..{size - 1}")
        pairs = torch.unique(user * n_items + item)
        self.n_users, self.n_items = n_users, n_items
        self.user = torch.div(pairs, n_items, rounding_mode="floor")
        self.item = pairs - self.user * n_items

    @property
    def n_pairs(self) -> int:
        """Number of distinct pairs."""
        return self.user.numel()

    @cached_property
    def _by_item(self) -> Tensor:
        """Pairs in the order (item, user)."""
        return torch.argsort(self.item, stable=True)

    def operator(
        self,
        *,
        self_loops: bool,
        dtype: torch.dtype = torch.float32,
        keep: Tensor | None = None,
    ) -> Tensor:
        """D^-1/2 (B + 1) D^-1/2, or D^-1/2 B D^-1/2 without self loops.

        B is the 0/1 bipartite adjacency of users then items, D the diagonal of the row sums of
        B + 1 (of B). A node without pairs has an empty row, or a lone 1 with self loops.

        Args:
            self_loops: whether the identity is added.
            dtype: of the values; they are computed in float64.
            keep: use only the pairs where it holds, [n_pairs] bool, in the order of ``user``
                and ``item``; D counts them alone. None: all.

        Returns:
            Symmetric CSR matrix, [n_users + n_items, n_users + n_items].
        """
        user, item, by_item = self.user, self.item, self._by_item
        if keep is not None:
            # The kept pairs in item order: their numbers among the kept, item by item.
            number = torch.cumsum(keep, 0) - 1
            by_item = number[by_item[keep[by_item]]]
            user, item = user[keep], item[keep]
        degree = self._count(user, item)
        pattern = self._pattern(user, item, by_item, self_loops)
        # A node of degree 0 would get an infinite scale, but no entry refers to it.
        scale = (degree + int(self_loops)).double().rsqrt()
        values = scale.index_select(0, pattern.rows) * scale.index_select(0, pattern.columns)
        return pattern.matrix(values.to(dtype))

    def _count(self, user: Tensor, item: Tensor) -> Tensor:
        """Pairs of each node, [n_users + n_items] int64."""
        of_users = torch.bincount(user, minlength=self.n_users)
        return torch.cat((of_users, torch.bincount(item, minlength=self.n_items)))

    def _pattern(self, user: Tensor, item: Tensor, by_item: Tensor, self_loops: bool) -> CsrPattern:
        """Pattern of B, or of B + 1, from pairs in user order and their order by item."""
        n_nodes = self.n_users + self.n_items
        rows = torch.cat((user, item[by_item] + self.n_users))
        columns = torch.cat((item + self.n_users, user[by_item]))
        if self_loops:
            nodes = torch.arange(n_nodes, device=rows.device)
            rows, columns = torch.cat((rows, nodes)), torch.cat((columns, nodes))
            order = torch.argsort(rows * n_nodes + columns)
            rows, columns = rows[order], columns[order]
        return CsrPattern(row_starts(rows, n_nodes), columns, n_nodes, rows=rows)


def propagate(
    operator: Tensor, user: Tensor, item: Tensor, n_layers: int
) -> tuple[Tensor, Tensor]:
    """Sum over layers 0..n_layers of the propagated embeddings: Σ_l Âˡ E.

    Args:
        operator: Â of :meth:`BipartiteGraph.operator`, in the embeddings' dtype.
        user: [n_users, d].
        item: [n_items, d].
        n_layers: number of propagation layers.

    Returns:
        Users [n_users, d] and items [n_items, d].
    """
    nodes = symmetric_series(operator, torch.cat((user, item)), n_layers)
    users, items = nodes.split((user.shape[0], item.shape[0]))
    return users, items
