from __future__ import annotations

import pytest
import torch

from diffkg_recbole.model import output_layer as module
from diffkg_recbole.model.gram import gram
from diffkg_recbole.model.output_layer import (
    errors_by_gram,
    errors_by_residual,
    output_errors,
)
from diffkg_recbole.model.rows import SparseRows
from tests.denoisers import graph_of, random_matrix

N, N_ITEMS, WIDTH, DIM = 14, 6, 5, 3
ORDER = torch.tensor([4, 0, 13, 4, 7, 9, 2])


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def problem(order: torch.Tensor = ORDER):
    """Clean rows, dense and sparse; h, W, b; target."""
    matrix = random_matrix(N, density=0.3)
    inputs = random(len(order), WIDTH), random(N, WIDTH, seed=1), random(N, seed=2)
    target = random(N_ITEMS, DIM, seed=3).detach()
    return matrix[order], SparseRows.of(graph_of(matrix), order), inputs, target


def plain_errors(hidden, weight, bias, target, x0):
    predicted = hidden @ weight.t() + bias
    return (predicted - x0).square().sum(1), predicted[:, :N_ITEMS] @ target


@pytest.mark.parametrize("form", [errors_by_residual, errors_by_gram, output_errors])
@pytest.mark.parametrize("used", ["both", "squared", "pooled"])
def test_errors_and_gradients_equal_the_plain_form(form, used):
    x0, rows, inputs, target = problem()
    for_squared, for_pooled = random(len(ORDER), seed=4), random(len(ORDER), DIM, seed=5)
    found, plain = form(*inputs, target, rows), plain_errors(*inputs, target, x0)
    for result, expected in zip(found, plain):
        torch.testing.assert_close(result, expected, rtol=1e-11, atol=1e-12)

    def gradients(squared, pooled):
        value = squared.new_zeros(())
        if used != "pooled":
            value = value + (squared * for_squared.detach()).sum()
        if used != "squared":
            value = value + (pooled * for_pooled.detach()).sum()
        return torch.autograd.grad(value, inputs)

    for gradient, expected in zip(gradients(*found), gradients(*plain)):
        torch.testing.assert_close(gradient, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("form", [errors_by_residual, errors_by_gram])
def test_both_forms_agree_in_single_precision(form):
    x0, rows, inputs, target = problem()
    single = [tensor.detach().float().requires_grad_() for tensor in inputs]
    expected, _ = plain_errors(*inputs, target, x0)
    found, _ = form(*single, target.float(), rows)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    for gradient, exact in zip(
        torch.autograd.grad(found.sum(), single), torch.autograd.grad(expected.sum(), inputs)
    ):
        torch.testing.assert_close(gradient.double(), exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(8))  # rounding goes either way
def test_a_perfect_prediction_has_no_negative_error(seed):
    x0, rows, _, target = problem(torch.tensor([4, 4, 4]))
    hidden, weight = random(1, WIDTH, seed=seed), random(N, WIDTH, seed=seed + 100)
    with torch.no_grad():
        bias = x0[0] - weight @ hidden[0]
        squared, _ = errors_by_gram(hidden.expand(3, -1), weight, bias, target, rows)
    assert (squared >= 0).all()
    torch.testing.assert_close(squared, torch.zeros_like(squared), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("n_rows", "by_gram"), [(2, False), (3, False), (4, True), (7, True)])
def test_the_cheaper_form_is_chosen(n_rows, by_gram, monkeypatch):
    chosen = []
    for name in ("errors_by_residual", "errors_by_gram"):
        monkeypatch.setattr(module, name, lambda *_, name=name: chosen.append(name))
    _, rows, inputs, target = problem(ORDER[:n_rows])
    output_errors(*inputs, target, rows)
    assert chosen == ["errors_by_gram" if by_gram else "errors_by_residual"]


def test_the_gram_form_makes_no_full_size_tensor():
    _, rows, inputs, target = problem(torch.arange(7).repeat(10))
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and result.layout == torch.strided:
                largest = max(largest, result.numel())
            return result

    with Watch():
        squared, pooled = errors_by_gram(*inputs, target, rows)
        (squared.sum() + pooled.sum()).backward()
    assert 0 < largest < 70 * N


def test_under_autocast_the_error_is_in_half_precision_and_the_gradients_are_not():
    x0, rows, inputs, target = problem()
    single = [tensor.detach().float().requires_grad_() for tensor in inputs]
    saved = set()

    def pack(tensor):
        saved.add((tuple(tensor.shape), tensor.dtype))
        return tensor

    with torch.autocast("cpu", torch.bfloat16), torch.autograd.graph.saved_tensors_hooks(
        pack, lambda tensor: tensor
    ):
        squared, pooled = output_errors(single[0].bfloat16(), *single[1:], target.float(), rows)
    assert ((len(ORDER), N), torch.bfloat16) in saved
    assert squared.dtype == pooled.dtype == torch.float32
    expected = plain_errors(*inputs, target, x0)
    torch.testing.assert_close(squared.double(), expected[0], rtol=0.03, atol=0.1)
    torch.testing.assert_close(pooled.double(), expected[1], rtol=0.03, atol=0.1)
    found = torch.autograd.grad(squared.sum(), single)
    for gradient, exact in zip(found, torch.autograd.grad(expected[0].sum(), inputs)):
        assert gradient.dtype == torch.float32
        assert float((gradient - exact).norm() / exact.norm()) < 0.02


@pytest.mark.parametrize(("size", "n_strips"), [(8, 4), (7, 4), (3, 4), (5, 1), (1, 4)])
def test_gram_equals_the_plain_product(size, n_strips):
    weight = random(9, size).detach()
    torch.testing.assert_close(gram(weight, n_strips), weight.t() @ weight, rtol=1e-13, atol=1e-13)
