"""Products with sparse matrices in CSR form, each with a backward pass of its own.

PyTorch's autograd either has no backward for these products or sorts and copies the matrix at
every call. Here whatever depends on the sparsity pattern alone (row of each entry, transpose)
is computed once, in :class:`CsrPattern`, and every backward is again a product of the same kind.

Notation: a pattern has E entries, entry e at row i(e) and column j(e); ``values`` [E] are the
entries of a matrix A with that pattern. All floating-point tensors of one call share one dtype
(float32 or float64) and one device. None of the functions synchronises with the device.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

_INT32_LIMIT = 2**31 - 1
_BAG_WIDTH = 16  # columns from which the weighted embedding bag beats the CSR product


def in_full_precision(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let autocast leave a function alone: the kernels behind these products have no half
    precision, and want one dtype for all tensors. Half-precision arguments become float32."""

    @functools.wraps(function)
    def outside_autocast(*args: Any, **kwargs: Any) -> Tensor:
        kind = next(a.device.type for a in args if isinstance(a, Tensor))
        if not torch.is_autocast_enabled(kind):
            return function(*args, **kwargs)
        half = (torch.float16, torch.bfloat16)
        args = tuple(a.float() if isinstance(a, Tensor) and a.dtype in half else a for a in args)
        with torch.autocast(kind, enabled=False):
            return function(*args, **kwargs)

    return outside_autocast


class CsrPattern:
    """Where a sparse matrix may differ from zero. Immutable; derived tensors are made on demand.

    Args:
        indptr: row starts, [n_rows + 1] int64.
        columns: column of each entry, [E] integer, rows in ascending order.
        n_columns: number of columns.
        rows: row of each entry, [E] int64, where the caller has it already.

    Nothing is checked here: the callers build patterns from sorted keys.
    """

    def __init__(
        self, indptr: Tensor, columns: Tensor, n_columns: int, rows: Tensor | None = None
    ) -> None:
        self.indptr = indptr
        self.shape = (indptr.numel() - 1, n_columns)
        # Half the index traffic: the products are bound by memory, not by arithmetic.
        fits = max(n_columns, columns.numel()) <= _INT32_LIMIT
        self._index_dtype = torch.int32 if fits else torch.int64
        self.columns = columns.to(self._index_dtype)
        if rows is not None:
            self.rows = rows

    @property
    def n_entries(self) -> int:
        """Number of entries E."""
        return self.columns.numel()

    @cached_property
    def rows(self) -> Tensor:
        """Row of each entry, [E] int64."""
        rows = torch.arange(self.shape[0], device=self.indptr.device)
        return torch.repeat_interleave(rows, self.indptr.diff(), output_size=self.n_entries)

    @cached_property
    def transpose_order(self) -> Tensor:
        """Entries in the order of the transpose: its entry e is entry ``order[e]`` here. [E]."""
        return torch.argsort(self.columns, stable=True)

    @cached_property
    def transpose(self) -> CsrPattern:
        """The pattern of the transposed matrix."""
        return CsrPattern(
            row_starts(self.columns, self.shape[1]),
            self.rows.index_select(0, self.transpose_order),
            self.shape[0],
        )

    @cached_property
    def _narrow_indptr(self) -> Tensor:
        return self.indptr.to(self._index_dtype)

    def matrix(self, values: Tensor) -> Tensor:
        """The CSR tensor with these entries; ``values`` is not copied. [n_rows, n_columns]."""
        return csr_tensor(self._narrow_indptr, self.columns, values, self.shape)


def row_starts(rows: Tensor, n_rows: int) -> Tensor:
    """Row starts (CSR ``indptr``) from the row of each entry, in any order. [n_rows + 1] int64."""
    indptr = torch.zeros(n_rows + 1, dtype=torch.int64, device=rows.device)
    if rows.device.type == "cpu":
        counts = torch.bincount(rows, minlength=n_rows)
    else:  # there bincount waits, to learn the largest row
        counts = torch.zeros_like(indptr[1:]).index_add_(0, rows, torch.ones_like(rows).long())
    torch.cumsum(counts, 0, out=indptr[1:])
    return indptr


def csr_tensor(indptr: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """A CSR tensor from its parts, without copies or checks."""
    _take_beta_notice()
    return torch.sparse_csr_tensor(indptr, columns, values, shape, check_invariants=False)


@functools.cache
def _take_beta_notice() -> None:
    """PyTorch says once per process that CSR tensors are in beta. Let it say so here, unheard,
    instead of changing warning filters around each product."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        empty = torch.zeros(0, dtype=torch.int64)
        torch.sparse_csr_tensor(torch.zeros(1, dtype=torch.int64), empty, empty, (0, 0))


@in_full_precision
def weighted_sum(
    pattern: CsrPattern, values: Tensor, x: Tensor, add_input: bool = False
) -> Tensor:
    """A(values) x, or x + A(values) x with ``add_input`` (A square).

    Backward for a gradient G of the result: ``x`` receives Aᵀ G (+ G), ``values[e]`` receives
    the sampled product ⟨G[i(e)], x[j(e)]⟩.

    Args:
        pattern: of the [M, N] matrix A.
        values: entries of A, [E].
        x: dense operand, [N, d].

    Returns:
        [M, d].
    """
    return _WeightedSum.apply(pattern, values, x, add_input)


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, pattern: CsrPattern, values: Tensor, x: Tensor, add_input: bool
    ) -> Tensor:
        ctx.save_for_backward(values, x)
        ctx.pattern, ctx.add_input = pattern, add_input
        return _product(pattern, values, x, x if add_input else None)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        values, x = ctx.saved_tensors
        pattern, gradient = ctx.pattern, gradient.contiguous()
        for_values = for_x = None
        if ctx.needs_input_grad[1]:
            for_values = _sample(pattern, values, gradient, x)
        if ctx.needs_input_grad[2]:
            transposed = values.index_select(0, pattern.transpose_order)
            plus = gradient if ctx.add_input else None
            for_x = _product(pattern.transpose, transposed, gradient, plus)
        return None, for_values, for_x, None


@in_full_precision
def sampled_product(pattern: CsrPattern, left: Tensor, right: Tensor) -> Tensor:
    """The entries of left rightᵀ that the pattern names: ⟨left[i(e)], right[j(e)]⟩.

    Backward for a gradient g [E]: ``left`` receives A(g) right, ``right`` receives A(g)ᵀ left.

    Args:
        pattern: of an [M, N] matrix.
        left: [M, d].
        right: [N, d].

    Returns:
        [E].
    """
    return _SampledProduct.apply(pattern, left, right)


class _SampledProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pattern: CsrPattern, left: Tensor, right: Tensor) -> Tensor:
        ctx.save_for_backward(left, right)
        ctx.pattern = pattern
        return _sample(pattern, left.new_zeros(pattern.n_entries), left, right)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        left, right = ctx.saved_tensors
        pattern, gradient = ctx.pattern, gradient.contiguous()
        for_left = for_right = None
        if ctx.needs_input_grad[1]:
            for_left = _product(pattern, gradient, right)
        if ctx.needs_input_grad[2]:
            transposed = gradient.index_select(0, pattern.transpose_order)
            for_right = _product(pattern.transpose, transposed, left)
        return None, for_left, for_right


def _product(pattern: CsrPattern, values: Tensor, x: Tensor, plus: Tensor | None = None) -> Tensor:
    return csr_product(pattern.matrix(values), x, plus)


@in_full_precision
def csr_product(matrix: Tensor, x: Tensor, plus: Tensor | None = None) -> Tensor:
    """matrix x, or matrix x + plus; without a backward pass of its own.

    On a CPU in float32 the rows of ``x`` are summed as a weighted embedding bag: PyTorch has a
    kernel with prefetching for that, 2 to 4 times as fast as its CSR product from 16 columns on
    (slower in float64).

    Args:
        matrix: CSR [M, N].
        x: [N, d].
        plus: [M, d].

    Returns:
        [M, d].
    """
    if x.device.type != "cpu" or x.dtype != torch.float32 or x.shape[1] < _BAG_WIDTH:
        return matrix @ x if plus is None else torch.addmm(plus, matrix, x)
    product = functional.embedding_bag(
        matrix.col_indices(), x.detach(), matrix.crow_indices(), mode="sum",
        per_sample_weights=matrix.values().detach(), include_last_offset=True,
    )
    return product if plus is None else product.add_(plus)


def _sample(pattern: CsrPattern, any_values: Tensor, left: Tensor, right: Tensor) -> Tensor:
    # Twice as fast on a CPU as gathering both operands in blocks that fit the cache.
    entries = torch.sparse.sampled_addmm(pattern.matrix(any_values), left, right.t(), beta=0.0)
    return entries.values()


@in_full_precision
def gathered_sum(table: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """table[first] + table[second], with one gradient table instead of one per gather.

    Args:
        table: [K].
        first, second: places in the table, [E] int64 each.

    Returns:
        [E].
    """
    return _GatheredSum.apply(table, first, second)


class _GatheredSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, first: Tensor, second: Tensor) -> Tensor:
        ctx.n_places, ctx.places = table.numel(), (first, second)
        return table.index_select(0, first).add_(table.index_select(0, second))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        for_table = gradient.new_zeros(ctx.n_places)
        for places in ctx.places:
            for_table.index_add_(0, places, gradient)
        return for_table, None, None


@in_full_precision
def segment_softmax(pattern: CsrPattern, scores: Tensor) -> Tensor:
    """Softmax of the entries of each row: α_e = exp(s_e) / Σ_{i(e') = i(e)} exp(s_e').

    The row's largest score is subtracted first, so that no score overflows; rows without
    entries are fine. Backward for a gradient g: α_e (g_e - Σ_{i(e') = i(e)} α_e' g_e').

    Args:
        pattern: gives the rows.
        scores: [E].

    Returns:
        [E].
    """
    return _SegmentSoftmax.apply(pattern, scores)


class _SegmentSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pattern: CsrPattern, scores: Tensor) -> Tensor:
        largest = _segments(pattern, scores, "max", float("-inf"))
        weights = (scores - largest.index_select(0, pattern.rows)).exp_()
        totals = _segments(pattern, weights, "sum", 0.0)
        weights /= totals.index_select(0, pattern.rows)
        ctx.save_for_backward(weights)
        ctx.pattern = pattern
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        (weights,) = ctx.saved_tensors
        weighted = weights * gradient
        totals = _segments(ctx.pattern, weighted, "sum", 0.0)
        return None, weighted.addcmul_(
            weights, totals.index_select(0, ctx.pattern.rows), value=-1.0
        )


def _segments(pattern: CsrPattern, data: Tensor, reduce: str, initial: float) -> Tensor:
    """Reduce the entries of each row; always in the same order, hence deterministic. [n_rows]."""
    # unsafe: skips the check of the offsets, which are valid by construction.
    return torch.segment_reduce(
        data, reduce, offsets=pattern.indptr, initial=initial, unsafe=True
    )


@in_full_precision
def symmetric_series(operator: Tensor, x: Tensor, n_terms: int) -> Tensor:
    """Σ_{l=0..n_terms} Aˡ x for a constant symmetric matrix A.

    Evaluated as x + A (x + A (x + ...)): one product with an addition folded in per term.
    As A is symmetric the map is its own adjoint, so backward is the same computation.

    Args:
        operator: A, CSR [n, n]; it must be symmetric (not checked).
        x: [n, d].
        n_terms: number of products; 0 returns x itself.

    Returns:
        [n, d].
    """
    return _SymmetricSeries.apply(operator, x, n_terms)


class _SymmetricSeries(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, operator: Tensor, x: Tensor, n_terms: int) -> Tensor:
        ctx.operator, ctx.n_terms = operator, n_terms
        return _series(operator, x, n_terms)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        return None, _series(ctx.operator, gradient.contiguous(), ctx.n_terms), None


def _series(operator: Tensor, x: Tensor, n_terms: int) -> Tensor:
    total = x
    for _ in range(n_terms):
        total = csr_product(operator, total, plus=x)
    return total
