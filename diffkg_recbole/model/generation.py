"""The largest columns of generated rows, without the rows (mathematics 5.5, 8.2).

Every χ_t of the reverse chain is a combination of its start χ_s, of a vector g of the last hidden
layer's width, and of the output bias:  χ_t = a χ_s + W_out g + γ b_out.  All that the next step
needs of χ_t follows from a, g and γ:

    W_in χ_t = a W_in χ_s + (W_in W_out) g + γ W_in b_out
    ‖χ_t‖²   = a² ‖χ_s‖² + 2a (g · W_outᵀ χ_s + γ b_out · χ_s)
               + g · (W_outᵀ W_out) g + 2γ g · W_outᵀ b_out + γ² ‖b_out‖²

so a step costs products with hidden × hidden matrices. The posterior mean of the last step
(t = 0) has no share of χ_1, which leaves a = 0: a generated row is W_out g + γ b_out, one product
over the N columns, of which a block at a time is made and dropped once its largest are taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable

import torch
from torch import Tensor

from diffkg_recbole.model.blocks import block_entries
from diffkg_recbole.model.denoiser import Denoiser
from diffkg_recbole.model.diffusion import GaussianDiffusion
from diffkg_recbole.model.gram import gram
from diffkg_recbole.model.rows import Adjacency, SparseRows

NoiseOfRows = Callable[[Tensor], Tensor]


@torch.no_grad()
def generate_top_k(
    denoiser: Denoiser,
    diffusion: GaussianDiffusion,
    graph: Adjacency,
    rows: Tensor,
    k: int,
    block_rows: int,
    sampling_steps: int = 0,
    noise: NoiseOfRows | None = None,
    progress: Callable[[int], Any] | None = None,
) -> Tensor:
    """The k largest columns of each generated row, largest first. [n_rows, k] int64.

    Equal clean rows are generated once, unless noise tells them apart. Which of several equal
    entries is taken does not depend on anything random. Ask for all rows in one call: products
    of the parameters with each other are made once per call.

    Args:
        denoiser: used without dropout.
        diffusion: the process; all its T steps are reversed.
        graph: its 0/1 matrix holds the clean rows.
        rows: row numbers, [n_rows] int64.
        k: columns to take, at most N.
        block_rows: rows that are generated together.
        sampling_steps: 0 starts from the clean rows, n > 0 from χ_{n-1}, whose noisy rows cost
            two more products over the N columns and a [block_rows, N] matrix.
        noise: for sampling_steps > 0: from row numbers [B] to their noise [B, N].
        progress: told the number of rows that each block settles.

    Raises:
        ValueError: k or sampling_steps out of range, or noise missing.
    """
    if not 1 <= k <= graph.n_entities:
        raise ValueError(f"k must lie in 1..{graph.n_entities}, not {k}")
    chain = HiddenChain(denoiser, diffusion)
    if sampling_steps == 0:
        kept, copy_of = SparseRows.of(graph, rows).distinct()
    else:
        kept = copy_of = torch.arange(rows.numel(), device=rows.device)
    rows = rows[kept]
    copies = torch.bincount(copy_of, minlength=rows.numel()).split(block_rows)
    settled = torch.stack([of_block.sum() for of_block in copies]).tolist()  # one wait for all
    top = [rows.new_zeros((0, k))]
    blocks = _generate(chain, graph, rows, block_rows, sampling_steps, noise)
    for g, n_settled in zip(blocks, settled):
        top.append(_top_columns(denoiser, g, chain.bias_share, k))
        if progress is not None:
            progress(n_settled)
    return torch.cat(top)[copy_of]


@dataclass(frozen=True, eq=False)
class ChainStart:
    """What the chain needs to know of its first rows χ_s.

    Attributes:
        projected: W_in χ_s, [B, H_first].
        pulled: W_outᵀ χ_s, [B, H_last].
        along_bias: b_out · χ_s, [B].
        squared_norm: ‖χ_s‖², [B].
    """

    projected: Tensor
    pulled: Tensor
    along_bias: Tensor
    squared_norm: Tensor

    @classmethod
    def of_clean(cls, denoiser: Denoiser, x0: SparseRows) -> ChainStart:
        """Of sparse clean rows: sums over their ones."""
        output = denoiser.output
        return cls(
            x0.product(denoiser.input_weight),
            x0.product(output.weight),
            x0.product(output.bias.unsqueeze(1)).squeeze(1),
            x0.indptr.diff().to(output.bias.dtype),
        )

    @classmethod
    def of_dense(cls, denoiser: Denoiser, x: Tensor) -> ChainStart:
        """Of noisy rows, [B, N]."""
        output = denoiser.output
        return cls(
            x @ denoiser.input_weight,
            x @ output.weight,
            x @ output.bias,
            torch.linalg.vector_norm(x, dim=1).square(),
        )


class HiddenChain:
    """The reverse chain in the hidden space; products that are constant are made once.

    Args:
        denoiser: its parameters must not change while the chain is in use.
        diffusion: the process.

    Attributes:
        bias_share: γ of the generated rows W_out g + γ b_out.
    """

    def __init__(self, denoiser: Denoiser, diffusion: GaussianDiffusion) -> None:
        self.denoiser, self.diffusion = denoiser, diffusion
        weight, bias = denoiser.output.weight, denoiser.output.bias
        self._through = weight.t() @ denoiser.input_weight
        self._bias_projected = bias @ denoiser.input_weight
        if denoiser.normalize:
            self._gram = _GramForm(weight)
            self._bias_pulled, self._bias_square = bias @ weight, float(bias @ bias)
        self._coefficients = list(
            zip(diffusion.posterior_clean.tolist(), diffusion.posterior_noisy.tolist())
        )
        # The last step has no share of χ_1, whatever the steps before gave.
        self.bias_share = self._coefficients[0][0]

    def last_hidden(self, start: ChainStart) -> Tensor:
        """g of the generated rows, [B, H_last]."""
        start_share, bias_share = 1.0, 0.0  # a, γ
        g: Tensor | None = None  # 0
        for step, (clean, noisy) in reversed(list(enumerate(self._coefficients))):
            if g is None:
                projected, squared_norm = start.projected, start.squared_norm
            else:
                projected = torch.addmm(self._bias_projected, g, self._through, beta=bias_share)
                projected.add_(start.projected, alpha=start_share)
                squared_norm = self._squared_norm(start, start_share, g, bias_share)
            scale = self.denoiser.row_scale(squared_norm.clamp_min(0).sqrt())
            t = torch.full((1,), step, device=projected.device)
            hidden = self.denoiser.hidden(projected, scale, t)
            g = hidden.mul_(clean) if g is None else g.mul_(noisy).add_(hidden, alpha=clean)
            start_share, bias_share = noisy * start_share, clean + noisy * bias_share
        assert g is not None  # a diffusion has at least one step
        return g

    def _squared_norm(
        self, start: ChainStart, start_share: float, g: Tensor, bias_share: float
    ) -> Tensor:
        """‖χ_t‖² by the formula above, [B]; not needed, hence 0, without normalisation."""
        if not self.denoiser.normalize:
            return torch.zeros_like(start.squared_norm)
        times_g = self._gram.product(g)
        times_g.add_(start.pulled, alpha=2 * start_share)
        times_g.add_(self._bias_pulled, alpha=2 * bias_share)
        return (
            times_g.mul_(g).sum(1)
            + start_share**2 * start.squared_norm
            + 2 * start_share * bias_share * start.along_bias
            + bias_share**2 * self._bias_square
        )


class _GramForm:
    """The quadratic form g · (Wᵀ W) g of rows g.

    The matrix is symmetric, so of its blocks beside the diagonal one of each pair is kept,
    doubled: with four strips 10 of 16 blocks.

    Args:
        weight: W, [N, H].
    """

    def __init__(self, weight: Tensor, n_strips: int = 4) -> None:
        matrix = gram(weight)
        width = -(-weight.shape[1] // n_strips)
        self._strips = []
        for begin in range(0, weight.shape[1], width):
            strip = matrix[begin : begin + width, begin:].clone()
            strip[:, width:] *= 2
            self._strips.append((slice(begin, begin + width), slice(begin, None), strip))

    def product(self, g: Tensor) -> Tensor:
        """Rows whose inner products with the rows g are the form's values. [B, H]."""
        (rows, _, strip), *others = self._strips
        product = g[:, rows] @ strip
        for rows, columns, strip in others:
            product[:, columns].addmm_(g[:, rows], strip)
        return product


def _generate(
    chain: HiddenChain,
    graph: Adjacency,
    rows: Tensor,
    block_rows: int,
    sampling_steps: int,
    noise: NoiseOfRows | None,
) -> Iterator[Tensor]:
    """g of the generated rows, block by block, [<= block_rows, H_last] each."""
    denoiser, diffusion = chain.denoiser, chain.diffusion
    first = 0
    for x0 in SparseRows.of(graph, rows).blocks(block_rows):
        if sampling_steps == 0:
            start = ChainStart.of_clean(denoiser, x0)
        else:
            of_block = noise(rows[first : first + x0.n_rows]) if noise is not None else None
            clean = x0.dense(denoiser.output.weight.dtype)
            start = ChainStart.of_dense(
                denoiser, diffusion.chain_start(clean, sampling_steps, of_block)
            )
        first += x0.n_rows
        yield chain.last_hidden(start)


def _top_columns(denoiser: Denoiser, g: Tensor, bias_share: float, k: int) -> Tensor:
    """The k largest columns of W_out g + γ b_out, largest first. [B, k] int64."""
    weight, bias = denoiser.output.weight, denoiser.output.bias
    width = max(block_entries(g.device) // g.shape[0], k)
    best: tuple[Tensor, Tensor] | None = None
    for begin in range(0, weight.shape[0], width):
        columns = slice(begin, begin + width)
        entries = torch.addmm(bias[columns], g, weight[columns].t(), beta=bias_share)
        value, column = entries.topk(min(k, entries.shape[1]), dim=1)
        column += begin
        if best is not None:
            value = torch.cat((best[0], value), 1)
            column = torch.cat((best[1], column), 1)
            value, place = value.topk(k, dim=1)
            column = column.gather(1, place)
        best = (value, column)
    assert best is not None  # a graph has at least one entity
    return best[1]
