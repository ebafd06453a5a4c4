from __future__ import annotations

import pytest
import torch

from benchmarks import reference
from diffkg_recbole.model import generation
from diffkg_recbole.model.diffusion import GaussianDiffusion
from diffkg_recbole.model.generation import generate_top_k
from diffkg_recbole.model.rows import SparseRows
from tests.denoisers import (
    NOISY_SCHEDULE,
    RECORDED_SCHEDULE,
    generated_rows,
    graph_of,
    plain_prediction,
    random_denoiser,
    random_matrix,
    recorded_denoiser,
    recorded_diffusion,
    recorded_graph,
)

N = 40
ROWS = torch.tensor([3, 0, 39, 38, 12, 1, 37, 20, 21, 3, 5])


def noise_of_rows(rows: torch.Tensor) -> torch.Tensor:
    """Noise that depends on the row alone, however the rows are cut into blocks."""
    generator = torch.Generator().manual_seed(7)
    return torch.randn(N, N, dtype=torch.float64, generator=generator)[rows]


def step_by_step(denoiser, schedule, matrix, sampling_steps=0):
    return reference.generate(
        lambda x_t, t: plain_prediction(denoiser, x_t, t), reference.Schedule(**schedule),
        matrix[ROWS], sampling_steps, noise_of_rows(ROWS) if sampling_steps else None,
    )


@pytest.fixture(params=[
    ({}, RECORDED_SCHEDULE, 0),
    ({}, NOISY_SCHEDULE, 0),
    ({"normalize": False}, NOISY_SCHEDULE, 0),
    ({"hidden_sizes": (9, 6)}, NOISY_SCHEDULE, 0),
    ({"hidden_sizes": (3,)}, NOISY_SCHEDULE, 0),
    ({}, {**NOISY_SCHEDULE, "steps": 1}, 0),
    ({}, NOISY_SCHEDULE, 3),
    ({"hidden_sizes": (9, 6)}, RECORDED_SCHEDULE, 1),
], ids=["recorded", "noisy", "not normalised", "three layers", "fewer units than strips",
        "one step", "noisy start", "noisy start, three layers"])
def problem(request):
    """Denoiser, diffusion, matrix, start and the step-by-step rows."""
    settings, schedule, sampling_steps = request.param
    matrix = random_matrix(N)
    denoiser, diffusion = random_denoiser(N, **settings), GaussianDiffusion(**schedule)
    expected = step_by_step(denoiser, schedule, matrix, sampling_steps)
    return denoiser, diffusion, matrix, sampling_steps, expected


@pytest.mark.parametrize("block_rows", [1, 4, 100])
def test_rows_equal_the_step_by_step_chain(problem, block_rows):
    denoiser, diffusion, matrix, sampling_steps, expected = problem
    found = generated_rows(
        denoiser, diffusion, graph_of(matrix), ROWS, block_rows, sampling_steps, noise_of_rows
    )
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("block_entries", [1, 30, 1 << 20])
@pytest.mark.parametrize("k", [1, 3, N])
def test_top_columns_equal_those_of_the_step_by_step_chain(
    problem, k, block_entries, monkeypatch
):
    monkeypatch.setattr(generation, "block_entries", lambda device: block_entries)
    denoiser, diffusion, matrix, sampling_steps, expected = problem
    settled: list[int] = []
    top = generate_top_k(
        denoiser, diffusion, graph_of(matrix), ROWS, k, 4, sampling_steps, noise_of_rows,
        settled.append,
    )
    value, column = expected.topk(k, dim=1)
    found = expected.gather(1, top)
    assert bool((found.diff(dim=1) <= 1e-9).all()), "largest first"
    torch.testing.assert_close(found, value, rtol=0, atol=1e-9)
    # Without ties the columns themselves must agree.
    without_ties = (value.diff(dim=1).abs() > 1e-9).all(1)
    assert int(without_ties.sum()) >= len(ROWS) - 2
    assert torch.equal(top[without_ties], column[without_ties])
    assert sum(settled) == len(ROWS)


@pytest.mark.parametrize(("recorded", "sampling_steps"),
                         [("diff/p_sample_all", 0), ("diff/p_sample_all_s3", 3)])
def test_rows_equal_the_recorded_ones(golden, recorded, sampling_steps):
    noise = torch.tensor(golden["in/noise_all"])
    found = generated_rows(
        recorded_denoiser(golden), recorded_diffusion(), recorded_graph(golden),
        torch.arange(90), 32, sampling_steps, lambda rows: noise[rows],
    )
    torch.testing.assert_close(found, torch.tensor(golden[recorded]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("k", [1, 3])
def test_top_columns_give_the_recorded_pairs(golden, k):
    top = generate_top_k(
        recorded_denoiser(golden), recorded_diffusion(), recorded_graph(golden),
        torch.arange(90), k, 32,
    )
    recorded = golden[f"rebuild/p_sample/k{k}/pairs"][:, : 90 * k]  # the rest are reverses
    expected = torch.tensor(recorded[1]).view(90, k)
    assert torch.equal(torch.tensor(recorded[0]).view(90, k)[:, 0], torch.arange(90))
    assert torch.equal(top.sort(1).values, expected.sort(1).values)


def test_equal_rows_are_generated_once(monkeypatch):
    matrix, generated = random_matrix(N), []
    of_clean = generation.ChainStart.of_clean

    def recording(denoiser, x0):
        generated.append(x0.n_rows)
        return of_clean(denoiser, x0)

    monkeypatch.setattr(generation.ChainStart, "of_clean", recording)
    top = generate_top_k(
        random_denoiser(N), recorded_diffusion(), graph_of(matrix), torch.arange(N), 2, 16
    )
    distinct = torch.unique(matrix, dim=0).shape[0]
    assert sum(generated) == distinct < N
    assert torch.equal(top[-3:], top[-1:].expand(3, -1))
    assert top.shape == (N, 2)


def test_no_generated_row_is_kept_between_blocks(monkeypatch):
    """No tensor larger than a block of columns is made."""
    largest = 0
    addmm = torch.addmm

    def watching(*args, **kwargs):
        nonlocal largest
        result = addmm(*args, **kwargs)
        largest = max(largest, result.numel())
        return result

    monkeypatch.setattr(generation, "block_entries", lambda device: 64)
    monkeypatch.setattr(torch, "addmm", watching)
    generate_top_k(
        random_denoiser(N), recorded_diffusion(), graph_of(random_matrix(N)), ROWS, 1, 8
    )
    assert 0 < largest <= 64


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"k": 0}, r"1\.\.40, not 0"), ({"k": 41}, r"1\.\.40, not 41"),
     ({"sampling_steps": 1}, "needs noise"),
     ({"sampling_steps": 9, "noise": noise_of_rows}, r"0\.\.5, not 9"),
     ({"sampling_steps": -1, "noise": noise_of_rows}, r"0\.\.5, not -1")],
)
def test_impossible_arguments_are_named(changed, message):
    with pytest.raises(ValueError, match=message):
        generate_top_k(
            random_denoiser(N), recorded_diffusion(), graph_of(random_matrix(N)), ROWS,
            **{"k": 1, "block_rows": 4, **changed},
        )


def test_no_row_gives_no_column():
    empty = torch.empty(0, dtype=torch.int64)
    graph = graph_of(random_matrix(N))
    assert SparseRows.of(graph, empty).n_rows == 0
    top = generate_top_k(random_denoiser(N), recorded_diffusion(), graph, empty, 3, 4)
    assert top.shape == (0, 3)


@pytest.mark.parametrize("seed", range(8))  # rounding goes either way
def test_rows_that_the_chain_makes_zero_stay_finite(seed):
    """Their squared norm, a difference of equal sums, may come out below zero."""
    denoiser, generator = random_denoiser(N).float(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        denoiser.input_bias.fill_(50.0)  # every hidden unit is 1, whatever comes in
        denoiser.output.weight.normal_(generator=generator)
        denoiser.output.bias.copy_(-denoiser.output.weight.sum(1))
    diffusion = GaussianDiffusion(**{**NOISY_SCHEDULE, "steps": 6})
    empty = torch.zeros(N, N)
    found = generated_rows(denoiser, diffusion, graph_of(empty), torch.arange(3), 3)
    assert torch.isfinite(found).all()
