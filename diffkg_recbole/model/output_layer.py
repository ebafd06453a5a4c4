"""Squared error and pooled items of the denoiser's output layer, without the gradient of χ̂.

For χ̂ = W h + b, sparse clean rows χ and a matrix ``target`` over the first I columns:

    squared = Σ_n (χ̂_n - χ_n)²          pooled = χ̂[:I] · target

With gradients u of ``squared`` and v of ``pooled``, χ̂ receives 2u (χ̂ - χ) + v targetᵀ (items
only), from which h, W and b receive theirs. Both functions here make those directly; the item
part goes through (W[:I]ᵀ target) [H, d]. They differ in what they do about the error χ̂ - χ
(mathematics 8.3).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from diffkg_recbole.model.gram import gram
from diffkg_recbole.model.rows import SparseRows
from diffkg_recbole.model.sparse import CsrPattern


def output_errors(
    hidden: Tensor, weight: Tensor, bias: Tensor, target: Tensor, rows: SparseRows
) -> tuple[Tensor, Tensor]:
    """``squared`` [B] and ``pooled`` [B, d], ready for backward.

    Chooses the cheaper form: by the error, 3 products of B·N·H; by the Gram matrix, products of
    5/8 and 1 N·H², no [B, N] matrix. Expanding the square costs digits in proportion to
    ‖χ‖² / ‖χ̂ - χ‖², none to speak of for a denoiser's error, but half precision has none to
    spare: under autocast, it is the error (made in half precision).

    Args:
        hidden: h, [B, H].
        weight, bias: W [N, H] and b [N].
        target: [I, d].
        rows: χ, B rows of length N.
    """
    hidden = hidden.to(weight.dtype)
    if torch.is_autocast_enabled(hidden.device.type) or 3 * hidden.shape[0] < 2 * hidden.shape[1]:
        return errors_by_residual(hidden, weight, bias, target, rows)
    return errors_by_gram(hidden, weight, bias, target, rows)


def errors_by_residual(
    hidden: Tensor, weight: Tensor, bias: Tensor, target: Tensor, rows: SparseRows
) -> tuple[Tensor, Tensor]:
    """:func:`output_errors` by χ̂ - χ, the one [B, N] matrix that is made and kept."""
    return _ByResidual.apply(hidden, weight, bias, target, rows)


def errors_by_gram(
    hidden: Tensor, weight: Tensor, bias: Tensor, target: Tensor, rows: SparseRows
) -> tuple[Tensor, Tensor]:
    """:func:`output_errors` by ‖W h + b‖² = h · (WᵀW) h + 2 h · Wᵀb + ‖b‖², and sums over the
    ones of χ for the rest."""
    return _ByGram.apply(hidden, weight, bias, target, rows)


class _ByResidual(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, target: Tensor, rows: SparseRows
    ) -> tuple[Tensor, Tensor]:
        through, pooled = _pool(hidden, weight, bias, target)
        error = torch.addmm(bias, hidden, weight.t())
        minus_one = error.new_full((1,), -1.0).expand(rows.columns.shape)
        error.view(-1).index_add_(0, rows.flat_places(), minus_one)
        ctx.save_for_backward(hidden, weight, target, through, error)
        return torch.linalg.vector_norm(error, dim=1, dtype=weight.dtype).square(), pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, for_squared: Tensor, for_pooled: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, target, through, error = ctx.saved_tensors
        factor = 2 * for_squared.unsqueeze(1)
        # u scales rows of h rather than rows of the error.
        for_hidden = (error @ weight.to(error.dtype)).to(weight.dtype).mul_(factor)
        scaled = (hidden * factor).to(error.dtype)
        for_weight = (error.t() @ scaled).to(weight.dtype)
        for_bias = (factor.squeeze(1).to(error.dtype) @ error).to(weight.dtype)
        return _with_pooled(for_hidden, for_weight, for_bias, hidden, target, through, for_pooled)


class _ByGram(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, target: Tensor, rows: SparseRows
    ) -> tuple[Tensor, Tensor]:
        through, pooled = _pool(hidden, weight, bias, target)
        count = rows.indptr.diff().to(weight.dtype)
        constant = bias @ bias - 2 * rows.product(bias.unsqueeze(1)).squeeze(1) + count
        linear = torch.sub(bias @ weight, rows.product(weight))  # Wᵀ (b - χ), [B, H]
        direction = torch.addmm(linear, hidden, gram(weight))  # Wᵀ (χ̂ - χ), [B, H]
        squared = (hidden * (direction + linear)).sum(1) + constant
        ctx.save_for_backward(hidden, weight, bias, target, through, direction)
        ctx.rows = rows
        return squared.clamp_min_(0), pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, for_squared: Tensor, for_pooled: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, target, through, direction = ctx.saved_tensors
        factor = 2 * for_squared.unsqueeze(1)
        scaled = hidden * factor
        total = scaled.sum(0)
        pattern = CsrPattern(ctx.rows.indptr, ctx.rows.columns, ctx.rows.n_columns)
        ones = pattern.transpose.matrix(weight.new_ones(pattern.n_entries))  # χᵀ, [N, B]
        for_weight = torch.mm(weight, hidden.t() @ scaled).addr_(bias, total)
        for_weight.addmm_(ones, scaled, alpha=-1)
        for_bias = torch.addmv(bias * factor.sum(), weight, total)
        for_bias.unsqueeze(1).addmm_(ones, factor, alpha=-1)
        for_hidden = direction * factor
        return _with_pooled(for_hidden, for_weight, for_bias, hidden, target, through, for_pooled)


def _pool(
    hidden: Tensor, weight: Tensor, bias: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """W[:I]ᵀ target [H, d] and ``pooled`` [B, d], small enough for full precision always."""
    n_items = target.shape[0]
    with torch.autocast(hidden.device.type, enabled=False):
        through = weight[:n_items].t() @ target
        return through, torch.addmm(bias[:n_items] @ target, hidden, through)


def _with_pooled(
    for_hidden: Tensor,
    for_weight: Tensor,
    for_bias: Tensor,
    hidden: Tensor,
    target: Tensor,
    through: Tensor,
    for_pooled: Tensor,
) -> tuple[Tensor | None, ...]:
    """The gradients of all inputs, with the part of ``pooled`` added in place."""
    n_items = target.shape[0]
    for_hidden.addmm_(for_pooled, through.t())
    for_weight[:n_items].addmm_(target, for_pooled.t() @ hidden)
    for_bias[:n_items].addmv_(target, for_pooled.sum(0))
    return for_hidden, for_weight, for_bias, None, None
