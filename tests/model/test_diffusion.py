from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from benchmarks import reference
from diffkg_recbole.model.diffusion import GaussianDiffusion, linear_variance_betas
from diffkg_recbole.model.rows import SparseRows
from tests.denoisers import (
    NOISY_SCHEDULE,
    RECORDED_SCHEDULE,
    graph_of,
    random_matrix,
    recorded_diffusion,
    recorded_graph,
)


@pytest.mark.parametrize(
    "schedule",
    [RECORDED_SCHEDULE, NOISY_SCHEDULE, {**NOISY_SCHEDULE, "steps": 1},
     {**NOISY_SCHEDULE, "noise_max": 5.0}],
    ids=["recorded", "noisy", "one step", "beta at its bound"],
)
def test_schedule_equals_the_plain_form(schedule):
    plain, diffusion = reference.Schedule(**schedule), GaussianDiffusion(**schedule)
    found = {"beta": linear_variance_betas(**schedule), "bar": diffusion.alphas_cumprod,
             "clean": diffusion.posterior_clean, "noisy": diffusion.posterior_noisy,
             "weight": diffusion.loss_weight}
    for name, table in found.items():
        np.testing.assert_allclose(table, getattr(plain, name), rtol=1e-9, err_msg=name)


def test_a_schedule_needs_a_step():
    with pytest.raises(ValueError, match="at least one step"):
        linear_variance_betas(**{**RECORDED_SCHEDULE, "steps": 0})


def test_schedule_equals_the_recorded_one(golden):
    diffusion, betas = recorded_diffusion(), linear_variance_betas(**RECORDED_SCHEDULE)
    bars = diffusion.alphas_cumprod
    previous = torch.cat((torch.ones(1), bars[:-1]))
    variance = betas * (1 - previous) / (1 - bars)
    found = {
        "betas": betas,
        "alphas_cumprod": bars,
        "alphas_cumprod_prev": previous,
        "alphas_cumprod_next": torch.cat((bars[1:], torch.zeros(1))),
        "sqrt_alphas_cumprod": diffusion.signal,
        "sqrt_one_minus_alphas_cumprod": diffusion.spread,
        "posterior_variance": variance,
        "posterior_log_variance_clipped": torch.cat((variance[1:2], variance[1:])).log(),
        "posterior_mean_coef1": diffusion.posterior_clean,
        "posterior_mean_coef2": diffusion.posterior_noisy,
    }
    for name, table in found.items():
        np.testing.assert_allclose(table, golden[f"diff/{name}"], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    "cast",
    [lambda module: module.half(), lambda module: module.to(torch.float32),
     lambda module: module.to("cpu", torch.bfloat16), copy.deepcopy],
    ids=["half", "float32", "bfloat16", "deepcopy"],
)
def test_tables_stay_exact_when_the_module_is_cast(cast):
    exact = dict(recorded_diffusion().named_buffers())
    parent = cast(torch.nn.ModuleDict({"diffusion": recorded_diffusion()}))
    tables = dict(parent["diffusion"].named_buffers())
    assert tables.keys() == exact.keys()
    for name, table in tables.items():
        assert table.dtype == torch.float64
        assert torch.equal(table, exact[name])
    assert not parent.state_dict()


def test_noisy_rows_equal_the_recorded_ones(golden):
    matrix, rows = torch.tensor(golden["data/kg_matrix"]).float(), torch.tensor(golden["in/rows"])
    t, noise = torch.tensor(golden["in/ts"]), torch.tensor(golden["in/noise"])
    recorded = torch.tensor(golden["diff/q_sample"])
    diffusion = recorded_diffusion()
    found = diffusion.q_sample(matrix[rows], t, noise)
    torch.testing.assert_close(found, recorded, rtol=1e-5, atol=1e-7)
    sparse = SparseRows.of(recorded_graph(golden), rows)
    found = diffusion.q_sample_sparse_(sparse, t, noise.clone())
    torch.testing.assert_close(found, recorded, rtol=1e-5, atol=1e-7)


def test_a_noisy_start_needs_noise_and_an_existing_step():
    diffusion, x0 = recorded_diffusion(), torch.zeros(1, 2)
    with pytest.raises(ValueError, match="needs noise"):
        diffusion.chain_start(x0, 1, None)
    with pytest.raises(ValueError, match=r"0\.\.5, not 6"):
        diffusion.chain_start(x0, 6, x0)
    noise = torch.ones_like(x0)
    spread = diffusion.spread[-1].float() * noise
    torch.testing.assert_close(diffusion.chain_start(x0, 5, noise), spread)  # the noisiest step


def test_q_sample_equals_the_plain_form():
    matrix = random_matrix(15, density=0.3)
    diffusion, order = GaussianDiffusion(**NOISY_SCHEDULE), torch.tensor([14, 0, 7, 7, 3])
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(5, 15, dtype=torch.float64, generator=generator)
    t = torch.tensor([0, 3, 1, 2, 0])
    expected = reference.noised(reference.Schedule(**NOISY_SCHEDULE), matrix[order], t, noise)
    found = diffusion.q_sample(matrix[order], t, noise)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    found = diffusion.q_sample_sparse_(SparseRows.of(graph_of(matrix), order), t, noise)
    assert found.data_ptr() == noise.data_ptr()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


def test_errors_are_weighed_by_the_step():
    diffusion = GaussianDiffusion(**NOISY_SCHEDULE)
    t, error = torch.tensor([3, 0, 2, 2]), torch.tensor([1.0, 2.0, 0.5, 0.0])
    plain = reference.Schedule(**NOISY_SCHEDULE)
    expected = reference.elbo(plain, error.double().sqrt()[:, None], torch.zeros(4, 1), t)
    torch.testing.assert_close(diffusion.weigh(error, t), expected, rtol=1e-7, atol=0)
