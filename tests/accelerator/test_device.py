"""The test device itself: it raises where places meet, and sees every wait."""

from __future__ import annotations

import pytest
import torch

from tests.accelerator.device import Mixed

WAITS = {
    "item": lambda x: x.sum().item(),
    "truth": lambda x: bool((x > 0).all()),
    "number": lambda x: float(x.max()),
    "list": lambda x: x.tolist(),
    "host": lambda x: x.cpu(),
    "copy": lambda x: torch.zeros(3).copy_(x),
    "upload": lambda x: torch.zeros(3).to(x.device),
    "literal": lambda x: torch.tensor([1.0], device=x.device),
    "nonzero": lambda x: (x > 0).nonzero(),
    "where": lambda x: torch.where(x > 0),
    "mask": lambda x: x[x > 0],
    "assigned by mask": lambda x: x.clone().index_put_((x > 0,), x[:1]),
    "host's places": lambda x: x[torch.tensor([0, 2])],
    "unique": lambda x: torch.unique(x),
    "bincount": lambda x: torch.bincount(x.long().abs()),
    "repeated": lambda x: torch.repeat_interleave(x.long().abs()),
    "equal": lambda x: torch.equal(x, x),
}
NO_WAITS = {
    "sum": lambda x: x.sum() * 2 + x,
    "places": lambda x: x[torch.arange(2, device=x.device)],
    "slice": lambda x: x[1:],
    "filled": lambda x: torch.full((2,), 3.0, device=x.device),
    "a later upload": lambda x: torch.zeros(3).to(x.device, non_blocking=True),
    "a number": lambda x: x * torch.tensor(2.0),
    "masked": lambda x: x.masked_fill(x > 0, 0.0),
    "repeated": lambda x: torch.repeat_interleave(x.long().abs(), output_size=3),
    "drawn": lambda x: torch.rand(3, device=x.device, generator=torch.Generator(x.device)),
}


@pytest.fixture
def x(accelerator):
    return torch.tensor([1.0, -2.0, 0.0], device=accelerator.device)


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_is_seen(name, x, accelerator):
    with accelerator.counting() as waits:
        WAITS[name](x)
    assert sum(waits.values()) >= 1


@pytest.mark.parametrize("name", NO_WAITS)
def test_work_on_the_device_is_no_wait(name, x, accelerator):
    with accelerator.counting() as waits:
        result = NO_WAITS[name](x)
    assert result.device == accelerator.device
    assert not waits


@pytest.mark.parametrize("meet", [
    lambda x, y: x + y, lambda x, y: torch.cat([x, y]), lambda x, y: y.add_(x),
    lambda x, y: torch.stack([y, x]), lambda x, y: y[x.long().abs()],
    lambda x, y: x.index_select(0, y.long()), lambda x, y: torch.nn.functional.embedding(
        y.long(), x.view(3, 1))])
def test_tensors_of_two_places_do_not_meet(meet, x):
    with pytest.raises(Mixed, match="elsewhere"):
        meet(x, torch.ones(3))


def test_gradients_are_those_of_the_cpu(accelerator):
    generator = torch.Generator().manual_seed(0)
    here = torch.randn(4, 3, generator=generator, requires_grad=True)
    there = here.detach().to(accelerator.device).requires_grad_()
    for x in (here, there):
        torch.nn.functional.normalize(x[:, :2] @ x[:2], dim=1).square().mul(x).sum().backward()
    assert there.grad.device == accelerator.device
    assert torch.equal(there.grad.cpu(), here.grad)


def test_the_other_tests_of_a_process_find_pytorch_as_it_was(accelerator):
    accelerator.__exit__(None, None, None)
    try:
        assert torch.Generator is type(torch.Generator())
        assert torch._C._is_multithreading_enabled()
        assert type(torch.ones(2) + torch.tensor([1.0, 2.0])) is torch.Tensor
    finally:
        accelerator.__enter__()
