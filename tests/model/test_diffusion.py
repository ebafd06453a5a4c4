from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from diffkg_recbole.model.diffusion import GaussianDiffusion, linear_variance_betas
from diffkg_recbole.model.rows import SparseRows
from tests.denoisers import (
    NOISY_SCHEDULE,
    RECORDED_SCHEDULE,
    graph_of,
    random_matrix,
    recorded_denoiser,
    recorded_diffusion,
)


def plain_schedule(steps, noise_scale, noise_min, noise_max):
    """The schedule number by number: β, ᾱ and w."""
    bars = []
    for t in range(steps):
        share = t / (steps - 1) if steps > 1 else 0
        bars.append(1 - noise_scale * (noise_min + share * (noise_max - noise_min)))
    betas = [1e-4] + [min(1 - bars[t] / bars[t - 1], 0.999) for t in range(1, steps)]
    bars = [math.prod(1 - beta for beta in betas[: t + 1]) for t in range(steps)]
    snr = [bar / (1 - bar) for bar in bars]
    weights = [1.0] + [snr[t - 1] - snr[t] for t in range(1, steps)]
    return betas, bars, weights


@pytest.mark.parametrize(
    "schedule",
    [RECORDED_SCHEDULE, NOISY_SCHEDULE, {**NOISY_SCHEDULE, "steps": 1},
     {**NOISY_SCHEDULE, "noise_max": 5.0}],
    ids=["recorded", "noisy", "one step", "beta at its bound"],
)
def test_schedule_equals_the_plain_form(schedule):
    betas, bars, weights = plain_schedule(**schedule)
    diffusion = GaussianDiffusion(**schedule)
    np.testing.assert_allclose(linear_variance_betas(**schedule), betas, rtol=1e-12)
    np.testing.assert_allclose(diffusion.alphas_cumprod, bars, rtol=1e-12)
    np.testing.assert_allclose(diffusion.loss_weight, weights, rtol=1e-9)
    previous = [1.0, *bars[:-1]]
    for t, (beta, bar, before) in enumerate(zip(betas, bars, previous)):
        clean = beta * math.sqrt(before) / (1 - bar)
        noisy = (1 - before) * math.sqrt(1 - beta) / (1 - bar)
        assert float(diffusion.posterior_clean[t]) == pytest.approx(clean, rel=1e-12)
        assert float(diffusion.posterior_noisy[t]) == pytest.approx(noisy, rel=1e-12)


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


def test_q_sample_and_posterior_mean_equal_the_recorded_ones(golden):
    diffusion, denoiser = recorded_diffusion(), recorded_denoiser(golden)
    x0 = torch.tensor(golden["data/kg_matrix"][golden["in/rows"]], dtype=torch.float32)
    t, noise = torch.tensor(golden["in/ts"]), torch.tensor(golden["in/noise"])
    x_t = diffusion.q_sample(x0, t, noise)
    torch.testing.assert_close(x_t, torch.tensor(golden["diff/q_sample"]), rtol=1e-5, atol=1e-7)
    mean = diffusion.posterior_mean(denoiser(x_t, t), x_t, t)
    torch.testing.assert_close(mean, torch.tensor(golden["diff/p_mean"]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("recorded", "sampling_steps"), [("diff/p_sample_all", 0), ("diff/p_sample_all_s3", 3)]
)
def test_reverse_chain_equals_the_recorded_one(golden, recorded, sampling_steps):
    x0 = torch.tensor(golden["data/kg_matrix"], dtype=torch.float32)
    with torch.no_grad():
        rows = recorded_diffusion().reverse(
            recorded_denoiser(golden), x0, sampling_steps=sampling_steps,
            noise=torch.tensor(golden["in/noise_all"]) if sampling_steps else None,
        )
    torch.testing.assert_close(rows, torch.tensor(golden[recorded]), rtol=1e-5, atol=1e-6)


def test_reverse_chain_applies_every_step_once_from_noisy_to_clean():
    diffusion, seen = GaussianDiffusion(**NOISY_SCHEDULE), []
    x = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def predict(x_t, t):
        seen.append(t.tolist())
        return x_t.square()

    rows = diffusion.reverse(predict, x)
    assert seen == [[3] * 3, [2] * 3, [1] * 3, [0] * 3]
    expected = x
    for t in (3, 2, 1, 0):
        clean, noisy = diffusion.posterior_clean[t], diffusion.posterior_noisy[t]
        expected = clean * expected**2 + noisy * expected
    torch.testing.assert_close(rows, expected, rtol=1e-12, atol=0)


def test_a_noisy_start_needs_noise_and_an_existing_step():
    diffusion, x0 = recorded_diffusion(), torch.zeros(1, 2)
    with pytest.raises(ValueError, match="needs noise"):
        diffusion.chain_start(x0, 1, None)
    with pytest.raises(ValueError, match=r"0\.\.5, not 6"):
        diffusion.chain_start(x0, 6, x0)


def test_sparse_q_sample_equals_the_dense_one():
    matrix = random_matrix(15, density=0.3)
    diffusion, order = GaussianDiffusion(**NOISY_SCHEDULE), torch.tensor([14, 0, 7, 7, 3])
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(5, 15, dtype=torch.float64, generator=generator)
    t = torch.tensor([0, 3, 1, 2, 0])
    expected = diffusion.q_sample(matrix[order], t, noise)
    found = diffusion.q_sample_sparse_(SparseRows.of(graph_of(matrix), order), t, noise)
    assert found.data_ptr() == noise.data_ptr()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


def test_elbo_equals_the_plain_form():
    diffusion = GaussianDiffusion(**NOISY_SCHEDULE)
    weights = plain_schedule(**NOISY_SCHEDULE)[2]
    generator = torch.Generator().manual_seed(0)
    x0, x0_hat = torch.randn(2, 4, 9, dtype=torch.float64, generator=generator)
    found = diffusion.elbo(x0, x0_hat, torch.tensor([3, 0, 2, 2]))
    for row, t in enumerate([3, 0, 2, 2]):
        squares = [(float(a) - float(b)) ** 2 for a, b in zip(x0[row], x0_hat[row])]
        assert float(found[row]) == pytest.approx(weights[t] * sum(squares) / 9, rel=1e-12)
