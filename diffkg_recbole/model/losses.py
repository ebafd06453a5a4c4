"""The terms of the objectives: ranking, norm and contrast (mathematics 4), diffusion
(mathematics 5.4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from diffkg_recbole.model.attention import dropped_and_normalized
from diffkg_recbole.model.blocks import block_entries
from diffkg_recbole.model.denoiser import Denoiser
from diffkg_recbole.model.diffusion import GaussianDiffusion
from diffkg_recbole.model.output_layer import output_errors
from diffkg_recbole.model.rows import SparseRows
from diffkg_recbole.model.sparse import in_full_precision


def bpr_loss(positive_score: Tensor, negative_score: Tensor, batch_size: int) -> Tensor:
    """Σ -log σ(s_ui - s_uj) / batch_size. Scalar.

    Args:
        positive_score, negative_score: s_ui and s_uj, [B].
        batch_size: the configured size, also where B is smaller.
    """
    return F.softplus(negative_score - positive_score).sum() / batch_size


def l2_loss(parameters: Iterable[Tensor]) -> Tensor:
    """Σ ‖Θ‖² over the parameters, without a weight. Scalar.

    Raises:
        ValueError: no parameter.
    """
    parameters = list(parameters)
    if not parameters:
        raise ValueError("the L2 term needs at least one parameter")
    return _SquaredNorm.apply(*parameters)


class _SquaredNorm(torch.autograd.Function):
    """Σ ‖Θ‖²; Θ receives 2 g Θ, in one pass over the parameters each way."""

    @staticmethod
    def forward(ctx: Any, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(*parameters)
        # Row by row first: a running sum over millions of squares would lose digits.
        squares = [torch.linalg.vector_norm(p, dim=-1).square().sum() for p in parameters]
        return torch.stack(squares).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        factor = 2 * gradient
        return tuple(parameter * factor for parameter in ctx.saved_tensors)


# ---- contrast -----------------------------------------------------------------------------------


@in_full_precision
def info_nce(
    anchors_view: Tensor,
    candidates_view: Tensor,
    nodes: Tensor,
    temperature: float,
    block_size: int | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-log ( exp(cos(a_i, c_i) / τ) / Σ_m exp(cos(a_i, c_m) / τ) ) over anchors i. Scalar.

    The anchors a are the rows ``nodes`` of one view; the candidates c are all rows of the other,
    and an anchor's positive is the same node there. The similarities are made for a block of
    anchors at a time and never kept for the backward pass (see :class:`_ContrastOfUnitRows`).
    On a CPU, a node that occurs several times is computed once and counted.

    Args:
        anchors_view: the auxiliary view, [M, d].
        candidates_view: the main view, [M, d].
        nodes: [B] int64; repeats count as often as they occur.
        temperature: τ > 0.
        block_size: anchors whose similarities [block_size, M] are held at once; None: chosen
            for the device.
        reduction: ``"mean"`` or ``"sum"`` over the anchors.

    Raises:
        ValueError: another reduction.
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction must be 'mean' or 'sum', not {reduction!r}")
    if block_size is None:
        block_size = max(block_entries(candidates_view.device) // candidates_view.shape[0], 1)
        if candidates_view.device.type == "cpu":  # more gain nothing and crowd the caches
            block_size = min(block_size, max(128, 2**20 // candidates_view.shape[0]))
    n_anchors, counts = nodes.numel(), None
    if nodes.device.type == "cpu":  # elsewhere, the size of the result would be waited for
        nodes, counts = torch.unique(nodes, return_counts=True)
    anchors = F.normalize(anchors_view.index_select(0, nodes), dim=1) / temperature
    candidates = dropped_and_normalized(candidates_view, None, 0.0)
    total = _ContrastOfUnitRows.apply(anchors, candidates, nodes, counts, block_size)
    return total / n_anchors if reduction == "mean" else total


class _ContrastOfUnitRows(torch.autograd.Function):
    """Σ_i k_i ( log Σ_m exp(a_i · c_m) - a_i · c_{n_i} ) for anchors a [B, d], candidates c
    [M, d] and counts k [B] (None: all 1).

    The result is a sum, so its gradients are known up to a factor while it is computed:
    a_i receives k_i (Σ_m p_im c_m - c_{n_i}) and c_m receives
    Σ_i k_i p_im a_i - Σ_{i: n_i = m} k_i a_i, with p the softmax. They are made there and then,
    block by block; [B, M] is never stored, and nothing is computed twice.
    """

    @staticmethod
    def forward(
        ctx: Any,
        anchors: Tensor,
        candidates: Tensor,
        nodes: Tensor,
        counts: Tensor | None,
        block_size: int,
    ) -> Tensor:
        with_gradients = any(ctx.needs_input_grad[:2])
        positives = candidates[nodes]
        total = anchors.new_zeros(())
        count = anchors.new_ones(1, 1).expand(len(anchors), 1) if counts is None else (
            counts.to(anchors.dtype).unsqueeze(1))
        if with_gradients:
            for_anchors = positives.neg_()
            counted = anchors if counts is None else anchors * count
            for_candidates = torch.zeros_like(candidates)
            for_candidates.index_add_(0, nodes, counted, alpha=-1)
        for begin in range(0, anchors.shape[0], block_size):
            block = slice(begin, begin + block_size)
            weights = anchors[block] @ candidates.t()
            largest = weights.amax(1, keepdim=True)
            # The differences are exact where the loss is small, unlike a difference of two sums.
            ahead = largest - weights.gather(1, nodes[block].unsqueeze(1))
            sums = weights.sub_(largest).exp_().sum(1, keepdim=True)
            total += (count[block] * (ahead + sums.log())).sum()
            if with_gradients:
                # The softmax's denominator goes to the smaller factor.
                for_anchors[block].addcdiv_(weights @ candidates, sums)
                for_candidates.addmm_(weights.t(), counted[block] / sums)
        if with_gradients:
            ctx.save_for_backward(for_anchors.mul_(count), for_candidates)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        for_anchors, for_candidates = ctx.saved_tensors
        return gradient * for_anchors, gradient * for_candidates, None, None, None


# ---- diffusion ----------------------------------------------------------------------------------


def ckgc_target(user: Tensor, item: Tensor, user_embedding: Tensor, n_items: int) -> Tensor:
    """Yᵀ E_u: for each item the sum of its users' embeddings. [I, d].

    Constant through a diffusion epoch: compute it once.

    Args:
        user, item: training pairs, [P] int64 each; a repeated pair counts once (Y is 0/1).
        user_embedding: E_u, [U, d].
        n_items: I.
    """
    n_users = user_embedding.shape[0]
    pairs = torch.unique(item * n_users + user)  # sorted by item
    item, user = torch.div(pairs, n_users, rounding_mode="floor"), pairs % n_users
    indptr = item.new_zeros(n_items + 1)
    torch.cumsum(torch.bincount(item, minlength=n_items), 0, out=indptr[1:])
    return F.embedding_bag(user, user_embedding, indptr, mode="sum", include_last_offset=True)


def diffusion_terms(
    denoiser: Denoiser,
    diffusion: GaussianDiffusion,
    rows: SparseRows,
    *,
    t: Tensor,
    noise: Tensor,
    keep_mask: Tensor | None,
    target: Tensor,
    entity: Tensor,
) -> tuple[Tensor, Tensor]:
    """Both terms of the diffusion loss (mathematics 5.4) for a batch of rows, ready for backward.

    elbo is w_t · mean_n (χ_0 - χ̂_0)² and ckgc, the collaborative knowledge graph convolution,
    mean_d (χ̂_0[:, :I] (Yᵀ E_u) - E_e)², for the denoiser's prediction χ̂_0. The only [B, N]
    tensors are the noisy rows, written over ``noise``, the mask, and sometimes the prediction's
    error (see :func:`.output_errors`).

    Args:
        denoiser: the network.
        diffusion: the process.
        rows: clean rows χ_0, B of length N.
        t: time steps, [B] int64.
        noise: ε, contiguous [B, N]; **overwritten**.
        keep_mask: True for the input columns that stay, [B, N] bool; None: no dropout.
        target: Yᵀ E_u, [I, d].
        entity: E_e of the rows' entities, [B, d].

    Returns:
        elbo [B] float64 and ckgc [B].
    """
    x_t = diffusion.q_sample_sparse_(rows, t, noise)
    scale = denoiser.row_scale(torch.linalg.vector_norm(x_t, dim=1))
    if keep_mask is not None:
        x_t.mul_(keep_mask.view(torch.int8))  # twice as fast as bool
        scale = scale / (1 - denoiser.dropout)
    hidden = denoiser.hidden(x_t @ denoiser.input_weight, scale, t)
    squared_error, pooled = output_errors(
        hidden, denoiser.output.weight, denoiser.output.bias, target, rows
    )
    elbo = diffusion.weigh(squared_error / rows.n_columns, t)
    return elbo, (pooled - entity).square().mean(1)
