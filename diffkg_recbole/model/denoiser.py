"""The network that predicts a clean graph row from a noisy one (mathematics 5.3)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SMALLEST_NORM = 1e-12
_BIAS_STD = 1e-3
_LONGEST_PERIOD = 10000.0


def time_embedding(t: Tensor, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Sinusoidal embedding: cosines, then sines, of t · 10000^(-i/half); an odd size ends in 0.

    Args:
        t: time steps, [B] integer.
        size: e.

    Returns:
        [B, e].
    """
    half = size // 2
    power = torch.arange(half, device=t.device, dtype=dtype) / max(half, 1)
    angle = t.to(dtype).unsqueeze(1) * torch.exp(-math.log(_LONGEST_PERIOD) * power)
    return F.pad(torch.cat((angle.cos(), angle.sin()), dim=1), (0, size % 2))


class Denoiser(nn.Module):
    """χ̂_0 = W_out · tanh(... tanh(W_in · [dropout(χ_t / ‖χ_t‖) ‖ time(t)] + b_in)) + b_out.

    The hidden layers narrow as in ``hidden_sizes`` and widen again in reverse order, so [1000]
    is one hidden layer and [600, 200] are three, of 600, 200 and 600 units.

    The first layer's matrix is kept as two parameters, ``input_weight`` for the row and
    ``time_weight`` for the embedded time: no [B, N + e] copy joins the two. ``input_weight`` is
    stored column by column of χ ([N, H], as the output layer's weight is), so that the product
    with a sparse row sums whole rows of it.

    Args:
        n_entities: length N of a row.
        hidden_sizes: widths on the way in; the first is H.
        time_embedding_size: e.
        normalize: divide each row by its 2-norm first.
        dropout: share of the input columns that a keep mask drops. The draw is the caller's, in
            training and evaluation mode alike: see :func:`.diffusion_terms`.

    Raises:
        ValueError: no hidden layer, or a dropout outside [0, 1).
    """

    def __init__(
        self,
        *,
        n_entities: int,
        hidden_sizes: Sequence[int],
        time_embedding_size: int,
        normalize: bool,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if not hidden_sizes:
            raise ValueError("the denoiser needs at least one hidden layer")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), not {dropout}")
        self.n_entities, self.time_embedding_size = n_entities, time_embedding_size
        self.normalize, self.dropout = normalize, dropout
        widths = [*hidden_sizes, *reversed(hidden_sizes[:-1])]
        self.time_layer = nn.Linear(time_embedding_size, time_embedding_size)
        self.input_weight = nn.Parameter(torch.empty(n_entities, widths[0]))
        self.time_weight = nn.Parameter(torch.empty(time_embedding_size, widths[0]))
        self.input_bias = nn.Parameter(torch.empty(widths[0]))
        self.middle = nn.ModuleList(
            nn.Linear(fan_in, fan_out) for fan_in, fan_out in zip(widths, widths[1:])
        )
        self.output = nn.Linear(widths[-1], n_entities)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw the parameters: weights normal with standard deviation
        sqrt(2 / (fan_in + fan_out)), biases with 0.001.

        The two parts of the first layer share the fan-in N + e of the whole.

        Args:
            generator: source of the draws; None: PyTorch's global one.
        """
        fan_in, fan_out = self.n_entities + self.time_embedding_size, self.input_bias.numel()
        for weight in (self.input_weight, self.time_weight):
            weight.normal_(0, math.sqrt(2 / (fan_in + fan_out)), generator=generator)
        self.input_bias.normal_(0, _BIAS_STD, generator=generator)
        for layer in (self.time_layer, *self.middle, self.output):
            fan_in, fan_out = layer.in_features, layer.out_features
            layer.weight.normal_(0, math.sqrt(2 / (fan_in + fan_out)), generator=generator)
            layer.bias.normal_(0, _BIAS_STD, generator=generator)

    def row_scale(self, norm: Tensor) -> Tensor:
        """1 / ‖χ_t‖ from the 2-norms ([B]), or 1 without normalisation. [B, 1].

        A row of zeros stays one.
        """
        scale = norm.clamp_min(_SMALLEST_NORM).reciprocal() if self.normalize else (
            torch.ones_like(norm)
        )
        return scale.unsqueeze(1)

    def hidden(self, projected: Tensor, scale: Tensor, t: Tensor) -> Tensor:
        """The last hidden layer, [B, H].

        Scaling after the projection equals scaling the row, also under dropout, and touches
        [B, H] instead of [B, N] numbers.

        Args:
            projected: χ_t (after dropout) times ``input_weight``, [B, H].
            scale: factor of each row, [B, 1].
            t: time steps, [B] or [1] int64.
        """
        time = self.time_layer(time_embedding(t, self.time_embedding_size, self.input_bias.dtype))
        constant = torch.addmm(self.input_bias, time, self.time_weight)
        hidden = torch.tanh(torch.addcmul(constant, projected, scale))
        for layer in self.middle:
            hidden = torch.tanh(layer(hidden))
        return hidden
