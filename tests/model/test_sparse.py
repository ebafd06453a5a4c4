from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from diffkg_recbole.model import sparse
from diffkg_recbole.model.sparse import (
    CsrPattern,
    csr_product,
    gathered_sum,
    row_starts,
    sampled_product,
    segment_softmax,
    symmetric_series,
    weighted_sum,
)

SHAPES = [(7, 5, 12), (5, 5, 3), (4, 4, 16), (6, 6, 0)]


def random_pattern(n_rows: int, n_columns: int, n_entries: int) -> CsrPattern:
    generator = torch.Generator().manual_seed(n_entries)
    places = torch.randperm(n_rows * n_columns, generator=generator)[:n_entries].sort().values
    rows, columns = places // n_columns, places % n_columns
    return CsrPattern(row_starts(rows, n_rows), columns, n_columns)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def dense(pattern: CsrPattern, values: torch.Tensor) -> torch.Tensor:
    """The matrix with these entries, differentiable."""
    matrix = torch.zeros(pattern.shape, dtype=values.dtype)
    return matrix.index_put((pattern.rows, pattern.columns.long()), values)


def assert_same_with_gradients(ours, plain, *inputs: torch.Tensor) -> None:
    """Equal results, and equal gradients for a random cotangent."""
    cotangent = torch.randn(plain.shape, generator=torch.Generator().manual_seed(9),
                            dtype=plain.dtype)
    torch.testing.assert_close(ours, plain)
    expected = torch.autograd.grad(plain, inputs, cotangent)
    torch.testing.assert_close(torch.autograd.grad(ours, inputs, cotangent), expected)


@pytest.fixture(params=["int32", "int64"])
def index_width(request, monkeypatch):
    """Both widths of column indices; the wide one is otherwise reached by huge graphs only."""
    if request.param == "int64":
        monkeypatch.setattr(sparse, "_INT32_LIMIT", -1)
    return getattr(torch, request.param)


@pytest.mark.parametrize("shape", SHAPES)
def test_pattern_and_its_transpose(shape, index_width):
    pattern = random_pattern(*shape)
    values = random(shape[2]).detach()
    matrix = dense(pattern, values)
    assert pattern.columns.dtype == index_width
    assert torch.equal(pattern.matrix(values).to_dense(), matrix)
    transposed = pattern.transpose.matrix(values[pattern.transpose_order])
    assert torch.equal(transposed.to_dense(), matrix.t())
    assert pattern.matrix(values).values().data_ptr() == values.data_ptr()


@pytest.mark.parametrize("shape", SHAPES)
def test_weighted_sum(shape, index_width):
    pattern = random_pattern(*shape)
    values, x = random(shape[2]), random(shape[1], 3, seed=1)
    ours = weighted_sum(pattern, values, x)
    assert_same_with_gradients(ours, dense(pattern, values) @ x, values, x)
    assert torch.autograd.gradcheck(lambda v, y: weighted_sum(pattern, v, y), (values, x))


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[0] == shape[1]])
def test_weighted_sum_with_its_input_added(shape):
    pattern = random_pattern(*shape)
    values, x = random(shape[2]), random(shape[1], 3, seed=1)
    ours = weighted_sum(pattern, values, x, add_input=True)
    assert_same_with_gradients(ours, x + dense(pattern, values) @ x, values, x)


def test_weighted_sum_with_constant_values_or_a_broadcast_gradient():
    pattern, x = random_pattern(7, 5, 12), random(5, 3)
    values = random(12).detach()
    weighted_sum(pattern, values, x).sum().backward()
    expected = dense(pattern, values).sum(0).unsqueeze(1).expand(5, 3)
    torch.testing.assert_close(x.grad, expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_sampled_product(shape, index_width):
    pattern = random_pattern(*shape)
    left, right = random(shape[0], 3), random(shape[1], 3, seed=1)
    ours = sampled_product(pattern, left, right)
    plain = (left @ right.t())[pattern.rows, pattern.columns.long()]
    assert_same_with_gradients(ours, plain, left, right)
    assert torch.autograd.gradcheck(lambda a, b: sampled_product(pattern, a, b), (left, right))


def test_gathered_sum():
    table = random(6)
    first, second = torch.tensor([0, 5, 0, 2]), torch.tensor([1, 5, 2, 2])
    ours = gathered_sum(table, first, second)
    assert_same_with_gradients(ours, table[first] + table[second], table)


@pytest.mark.parametrize("shape", SHAPES)
def test_segment_softmax(shape):
    pattern, scores = random_pattern(*shape), random(shape[2])
    masked = torch.full(pattern.shape, -torch.inf, dtype=torch.float64)
    masked = masked.index_put((pattern.rows, pattern.columns.long()), scores)
    plain = masked.softmax(1)[pattern.rows, pattern.columns.long()]
    assert_same_with_gradients(segment_softmax(pattern, scores), plain, scores)
    assert torch.autograd.gradcheck(lambda s: segment_softmax(pattern, s), (scores,))


def test_segment_softmax_does_not_overflow():
    pattern = CsrPattern(torch.tensor([0, 2, 2, 4]), torch.tensor([0, 1, 0, 1]), 2)
    scores = torch.tensor([3e4, 3e4, -3e4, 3e4], requires_grad=True)
    weights = segment_softmax(pattern, scores)
    assert weights.tolist() == [0.5, 0.5, 0.0, 1.0]
    weights[0].backward()
    assert scores.grad.tolist() == [0.25, -0.25, 0.0, 0.0]


@pytest.mark.parametrize("n_terms", [0, 1, 3])
def test_symmetric_series(n_terms):
    pattern = random_pattern(5, 5, 12)
    matrix = dense(pattern, random(12).detach())
    matrix = matrix + matrix.t()
    operator, x = matrix.to_sparse_csr(), random(5, 3, seed=1)
    plain = sum(torch.linalg.matrix_power(matrix, power) @ x for power in range(n_terms + 1))
    assert_same_with_gradients(symmetric_series(operator, x, n_terms), plain, x)


def test_products_are_silent_and_leave_the_warning_filters_alone():
    program = (
        "import warnings, torch\n"
        "from diffkg_recbole.model.sparse import CsrPattern, sampled_product, weighted_sum\n"
        "filters = list(warnings.filters)\n"
        "pattern = CsrPattern(torch.tensor([0, 1]), torch.tensor([0]), 1)\n"
        "x = torch.ones(1, 1, requires_grad=True)\n"
        "weighted_sum(pattern, sampled_product(pattern, x, x), x).sum().backward()\n"
        "assert warnings.filters == filters\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("n_columns", [3, 16, 64])
@pytest.mark.parametrize("shape", [*SHAPES, (0, 4, 0), (3, 0, 0)])
def test_product_in_both_precisions(shape, n_columns, index_width):
    """Narrow, wide, single and double operands take different kernels: the same sums."""
    pattern = random_pattern(*shape)
    values, x, plus = random(shape[2]), random(shape[1], n_columns), random(shape[0], n_columns)
    expected = dense(pattern, values) @ x
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        matrix, x_, plus_ = pattern.matrix(values.to(dtype)), x.to(dtype), plus.to(dtype)
        kept = plus_.clone()
        for ours, plain in ((csr_product(matrix, x_), expected),
                            (csr_product(matrix, x_, plus_), expected + plus)):
            assert ours.dtype == dtype
            torch.testing.assert_close(ours.double(), plain, rtol=tolerance, atol=tolerance)
        assert torch.equal(plus_, kept)


def test_single_precision_gradients_agree_with_double():
    """The kernel for float32 stands behind every backward pass, too."""
    pattern, width = random_pattern(6, 6, 20), 32
    values, x, cotangent = random(20), random(6, width, seed=1), random(6, width, seed=2)
    single = [t.detach().float().requires_grad_() for t in (values, x)]
    for ours, double in (
        (weighted_sum(pattern, *single, add_input=True), weighted_sum(pattern, values, x, True)),
        (sampled_product(pattern, single[1], single[1]), sampled_product(pattern, x, x)),
    ):
        weight = cotangent.detach()[: len(double)] if double.ndim == 2 else random(20, seed=3)
        expected = torch.autograd.grad(double, [values, x], weight, allow_unused=True)
        got = torch.autograd.grad(ours, single, weight.float(), allow_unused=True)
        for gradient, wanted in zip(got, expected):
            if wanted is not None:
                torch.testing.assert_close(gradient.double(), wanted, rtol=1e-4, atol=1e-4)
