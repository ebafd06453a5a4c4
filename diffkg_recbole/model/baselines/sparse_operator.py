"""Constant sparse matrices for RecBole's graph models: normalised adjacencies and their products.

RecBole 1.2.1 fills a ``dok_matrix`` through ``_update``, which SciPy removed in 1.13, pair by pair
in Python, and multiplies by a COO tensor whose backward transposes anew at every step. Here one
CSR build serves all these models, and :class:`SparseOperator` stands where they expect a tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffkg_recbole.model.sparse import CsrPattern, weighted_sum


class SparseOperator:
    """A sparse matrix that ``torch.sparse.mm(operator, x)`` accepts in place of a tensor.

    ``torch.sparse.mm`` hands the product over through ``__torch_function__`` (PyTorch's protocol
    for tensor-like objects), so RecBole's ``forward`` methods stay as they are, and get a CSR
    product whose backward is again a CSR product.

    Args:
        pattern: where the matrix may differ from zero.
        values: its entries, [E] float.
    """

    def __init__(self, pattern: CsrPattern, values: Tensor) -> None:
        self.pattern = pattern
        self.values = values

    @classmethod
    def from_scipy(cls, matrix: Any, device: torch.device | str = "cpu") -> SparseOperator:
        """The operator of a SciPy sparse matrix; duplicate entries are summed. Values float32."""
        matrix = sp.csr_matrix(matrix)
        matrix.sum_duplicates()
        pattern = CsrPattern(
            torch.from_numpy(matrix.indptr.astype(np.int64)).to(device),
            torch.from_numpy(matrix.indices.astype(np.int64)).to(device),
            matrix.shape[1],
        )
        return cls(pattern, torch.from_numpy(matrix.data.astype(np.float32)).to(device))

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.pattern.shape

    def to(self, device: torch.device | str) -> SparseOperator:
        """The operator on a device; itself if it is there already."""
        if self.values.device == torch.device(device):
            return self
        pattern = CsrPattern(
            self.pattern.indptr.to(device), self.pattern.columns.to(device), self.shape[1]
        )
        return SparseOperator(pattern, self.values.to(device))

    def dense(self) -> Tensor:
        """The matrix itself, [rows, columns]; for tests and small graphs."""
        return self.pattern.matrix(self.values).to_dense()

    @classmethod
    def __torch_function__(
        cls, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if func is torch.sparse.mm and not kwargs and isinstance(args[0], cls):
            operator, x = args
            return weighted_sum(operator.pattern, operator.values, x)
        return NotImplemented


class OperatorDropout(nn.Module):
    """Dropout over the entries of a :class:`SparseOperator` (RecBole's acts on COO tensors)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, operator: SparseOperator) -> SparseOperator:
        """The operator with each entry zero with probability p, the others times 1 / (1 - p)."""
        if not self.training or self.p == 0.0:
            return operator
        return SparseOperator(operator.pattern, F.dropout(operator.values, self.p))


def bipartite_adjacency(users: np.ndarray, items: np.ndarray, n_users: int, n_items: int) -> Any:
    """Adjacency of users and items: one for each pair, both ways, repeated pairs once.

    Returns:
        csr_matrix float32, [n_users + n_items] square, users first.
    """
    n = n_users + n_items
    row, column = users.astype(np.int64), items.astype(np.int64) + n_users
    both = (np.concatenate([row, column]), np.concatenate([column, row]))
    matrix = sp.csr_matrix((np.ones(2 * len(row), dtype=np.float32), both), shape=(n, n))
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix


def normalise_symmetric(adjacency: Any, epsilon: float = 0.0) -> Any:
    """D^-1/2 A D^-1/2 with D = number of entries of a row + ``epsilon``; empty rows stay empty."""
    degree = np.diff(adjacency.indptr) + epsilon
    scale = _power(degree, -0.5)
    return (sp.diags(scale) @ adjacency @ sp.diags(scale)).tocsr()


def normalise_rows(adjacency: Any) -> Any:
    """D^-1 A: every non-empty row sums to one."""
    return (sp.diags(_power(np.diff(adjacency.indptr), -1.0)) @ adjacency).tocsr()


def _power(degree: np.ndarray, exponent: float) -> np.ndarray:
    degree = degree.astype(np.float64)
    return np.power(degree, exponent, out=np.zeros_like(degree), where=degree > 0)
