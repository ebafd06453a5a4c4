"""Denoisers, graphs and their plain forms, shared by the tests of the diffusion's parts."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from benchmarks import reference
from diffkg_recbole.model.denoiser import Denoiser
from diffkg_recbole.model.diffusion import GaussianDiffusion
from diffkg_recbole.model.generation import HiddenChain, NoiseOfRows, _generate
from diffkg_recbole.model.rows import Adjacency

RECORDED_SCHEDULE = {"steps": 5, "noise_scale": 0.1, "noise_min": 1e-4, "noise_max": 0.02}
# A schedule whose steps mix clean and noisy rows in other proportions than the recorded one.
NOISY_SCHEDULE = {"steps": 4, "noise_scale": 1.0, "noise_min": 0.05, "noise_max": 0.6}


def recorded_diffusion() -> GaussianDiffusion:
    return GaussianDiffusion(**RECORDED_SCHEDULE)


def recorded_denoiser(golden: dict[str, np.ndarray], prefix: str = "param/denoise/") -> Denoiser:
    """The denoiser with recorded parameters."""
    n_entities, width = golden[prefix + "out_layers.0.weight"].shape
    size = golden[prefix + "emb_layer.bias"].size
    denoiser = Denoiser(
        n_entities=n_entities, hidden_sizes=[width], time_embedding_size=size, normalize=True
    )
    denoiser.load_state_dict(renamed(golden, prefix))
    return denoiser


def renamed(golden: dict[str, np.ndarray], prefix: str) -> dict[str, Tensor]:
    """Recorded denoiser parameters (or their gradients) under this package's names."""
    recorded = {
        name: torch.tensor(golden[prefix + name])
        for name in ("emb_layer.weight", "emb_layer.bias", "in_layers.0.weight",
                     "in_layers.0.bias", "out_layers.0.weight", "out_layers.0.bias")
    }
    n_entities = recorded["out_layers.0.bias"].numel()
    first = recorded["in_layers.0.weight"]  # [H, N + e]
    return {
        "time_layer.weight": recorded["emb_layer.weight"],
        "time_layer.bias": recorded["emb_layer.bias"],
        "input_weight": first[:, :n_entities].t().contiguous(),
        "time_weight": first[:, n_entities:].t().contiguous(),
        "input_bias": recorded["in_layers.0.bias"],
        "output.weight": recorded["out_layers.0.weight"],
        "output.bias": recorded["out_layers.0.bias"],
    }


def recorded_graph(golden: dict[str, np.ndarray]) -> SimpleNamespace:
    """The recorded 0/1 matrix as CSR."""
    return graph_of(torch.tensor(golden["data/kg_matrix"]))


def graph_of(matrix: Tensor) -> SimpleNamespace:
    """CSR of a 0/1 matrix, with the attributes the diffusion needs."""
    head, tail = matrix.nonzero().unbind(1)
    indptr = torch.zeros(matrix.shape[0] + 1, dtype=torch.int64)
    indptr[1:] = (matrix != 0).sum(1).cumsum(0)
    return SimpleNamespace(head=head, tail=tail, indptr=indptr, n_entities=matrix.shape[0])


def random_matrix(n: int, density: float = 0.1, seed: int = 0) -> Tensor:
    """A 0/1 matrix with empty rows (the first two) and equal rows (the last three)."""
    generator = torch.Generator().manual_seed(seed)
    matrix = (torch.rand(n, n, generator=generator) < density).double()
    matrix[:2] = 0
    matrix[-3:] = matrix[-1].clone()
    return matrix


def random_denoiser(
    n: int, hidden_sizes: tuple[int, ...] = (7,), normalize: bool = True, seed: int = 0
) -> Denoiser:
    """A float64 denoiser whose parameters, biases included, are all of order one."""
    denoiser = Denoiser(
        n_entities=n, hidden_sizes=hidden_sizes, time_embedding_size=5, normalize=normalize
    ).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    return denoiser


def plain_prediction(
    denoiser: Denoiser, x_t: Tensor, t: Tensor, keep_mask: Tensor | None = None
) -> Tensor:
    """The reference form of a denoiser's prediction, with the denoiser's own parameters."""
    def drop(x: Tensor) -> Tensor:
        return x if keep_mask is None else x * keep_mask / (1 - denoiser.dropout)

    return reference.denoise(reference.layers_of(denoiser), x_t, t, denoiser.normalize, drop)


def prediction(
    denoiser: Denoiser, x_t: Tensor, t: Tensor, keep_mask: Tensor | None = None
) -> Tensor:
    """The rows χ̂_0 that the denoiser's parts give, put together."""
    scale = denoiser.row_scale(torch.linalg.vector_norm(x_t, dim=1))
    if keep_mask is not None:
        x_t, scale = x_t * keep_mask, scale / (1 - denoiser.dropout)
    return denoiser.output(denoiser.hidden(x_t @ denoiser.input_weight, scale, t))


@torch.no_grad()
def generated_rows(
    denoiser: Denoiser, diffusion: GaussianDiffusion, graph: Adjacency, rows: Tensor,
    block_rows: int, sampling_steps: int = 0, noise: NoiseOfRows | None = None,
) -> Tensor:
    """The generated rows whose largest columns ``generate_top_k`` takes, [n_rows, N]."""
    chain = HiddenChain(denoiser, diffusion)
    weight, bias = denoiser.output.weight, denoiser.output.bias
    blocks = _generate(chain, graph, rows, block_rows, sampling_steps, noise)
    return torch.cat([torch.addmm(bias, g, weight.t(), beta=chain.bias_share) for g in blocks])
