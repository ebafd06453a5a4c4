"""Gaussian diffusion of graph rows (mathematics 5.1, 5.2). Knows nothing of the denoising network.

Time steps t run over 0..T-1: χ_0 in the formulas' sense is the clean row, and step t = 0 carries
the least noise, not none; ᾱ_{-1} = 1.
"""

from __future__ import annotations

from typing import Any, Callable

import torch
from torch import Tensor, nn

from diffkg_recbole.model.rows import SparseRows

# β of the first step, whatever the schedule gives.
_FIRST_BETA = 1e-4
_LARGEST_BETA = 0.999


def linear_variance_betas(
    steps: int, noise_scale: float, noise_min: float, noise_max: float
) -> Tensor:
    """β_t such that 1 - ᾱ_t grows linearly from s·noise_min to s·noise_max. [steps] float64.

    β_0 is then set to 1e-4, which shifts all ᾱ a little.

    Raises:
        ValueError: no step.
    """
    if steps < 1:
        raise ValueError(f"a diffusion needs at least one step, not {steps}")
    variance = torch.linspace(
        noise_scale * noise_min, noise_scale * noise_max, steps, dtype=torch.float64
    )
    alphas_cumprod = 1 - variance
    betas = (1 - alphas_cumprod[1:] / alphas_cumprod[:-1]).clamp_(max=_LARGEST_BETA)
    return torch.cat((betas.new_tensor([_FIRST_BETA]), betas))


class GaussianDiffusion(nn.Module):
    """Forward noising, the posterior's coefficients and the weights of DiffKG's diffusion.

    Every table is a float64 buffer of shape [steps] that moves with the module and stays float64
    when the module is cast. Results have the dtype of the rows that come in, except the error
    terms, which are float64. ``t`` is always int64 [B], one step per row.

    Args:
        steps: T.
        noise_scale: s.
        noise_min, noise_max: bounds of 1 - ᾱ_t before scaling.
    """

    alphas_cumprod: Tensor
    signal: Tensor
    spread: Tensor
    posterior_clean: Tensor
    posterior_noisy: Tensor
    loss_weight: Tensor

    def __init__(
        self, *, steps: int, noise_scale: float, noise_min: float, noise_max: float
    ) -> None:
        super().__init__()
        self.steps = steps
        betas = linear_variance_betas(steps, noise_scale, noise_min, noise_max)
        cumprod = torch.cumprod(1 - betas, 0)
        previous = torch.cat((cumprod.new_ones(1), cumprod[:-1]))
        snr = cumprod / (1 - cumprod)
        tables = {
            "alphas_cumprod": cumprod,
            "signal": cumprod.sqrt(),  # sqrt(ᾱ_t)
            "spread": (1 - cumprod).sqrt(),  # sqrt(1 - ᾱ_t)
            "posterior_clean": betas * previous.sqrt() / (1 - cumprod),
            "posterior_noisy": (1 - previous) * (1 - betas).sqrt() / (1 - cumprod),
            "loss_weight": torch.cat((snr.new_ones(1), snr[:-1] - snr[1:])),  # w_t
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        # Casting the module (half(), to(dtype)) must not round the tables: only move them.
        exact = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)
        for name, table in exact.items():
            setattr(self, name, table.to(getattr(self, name).device))
        return self

    def q_sample(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """A draw of q(χ_t | χ_0) = sqrt(ᾱ_t) χ_0 + sqrt(1 - ᾱ_t) ε. [B, N].

        Args:
            x0: clean rows, [B, N].
            t: [B].
            noise: ε, [B, N].
        """
        return _per_row(self.signal, t, x0) * x0 + _per_row(self.spread, t, x0) * noise

    def q_sample_sparse_(self, x0: SparseRows, t: Tensor, noise: Tensor) -> Tensor:
        """:meth:`q_sample` of sparse rows, written over ``noise``. [B, N].

        Args:
            x0: clean rows, B of length N.
            t: [B].
            noise: ε, contiguous [B, N]; holds the result afterwards.
        """
        noise.mul_(_per_row(self.spread, t, noise))
        signal = self.signal[t].to(noise.dtype)[x0.row_of_ones()]
        noise.view(-1).index_add_(0, x0.flat_places(), signal)
        return noise

    def weigh(self, squared_error: Tensor, t: Tensor) -> Tensor:
        """w_t times the mean squared error of each row, [B]. [B] float64.

        w_0 = 1, w_t = SNR(t-1) - SNR(t) with SNR = ᾱ / (1 - ᾱ) (mathematics 5.4).
        """
        return self.loss_weight[t] * squared_error

    def chain_start(self, x0: Tensor, sampling_steps: int, noise: Tensor | None) -> Tensor:
        """The rows from which the reverse chain starts. [B, N].

        Args:
            x0: clean rows, [B, N].
            sampling_steps: 0 starts from the clean rows, n > 0 from χ_{n-1}. All T steps follow
                in both cases.
            noise: ε of that start, [B, N]; only for sampling_steps > 0.

        Raises:
            ValueError: sampling_steps outside 0..T, or noise missing.
        """
        if not 0 <= sampling_steps <= self.steps:
            raise ValueError(f"sampling_steps must lie in 0..{self.steps}, not {sampling_steps}")
        if sampling_steps == 0:
            return x0
        if noise is None:
            raise ValueError("a noisy start (sampling_steps > 0) needs noise")
        t = torch.full((x0.shape[0],), sampling_steps - 1, device=x0.device)
        return self.q_sample(x0, t, noise)


def _per_row(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """Entries of a table for each row, in the dtype of the rows. [B, 1]."""
    return table[t].to(like.dtype).unsqueeze(1)
