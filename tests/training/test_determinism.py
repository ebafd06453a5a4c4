"""Training with several threads gives the same bits each time."""

from __future__ import annotations

import pytest
import torch

from diffkg_recbole.trainer.determinism import deterministic
from tests.tiny_models import experiment


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def gradient_of_lookups():
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(50, 64, generator=generator, requires_grad=True)
    places = torch.randint(50, (40_000,), generator=generator)
    weights = torch.randn(40_000, 64, generator=generator)
    (gradient,) = torch.autograd.grad((table[places] * weights).sum(), table)
    return gradient


def test_gradients_of_lookups_are_added_in_one_order(two_threads):
    with deterministic(True):
        first = gradient_of_lookups()
        assert all(torch.equal(gradient_of_lookups(), first) for _ in range(5))


@pytest.mark.parametrize("name", ["LightGCN", "KGAT", "KGCL"])
def test_two_threads_train_to_the_same_bits(name, two_threads, tmp_path):
    states = []
    for _ in range(3):
        exp = experiment(name, epochs=2, embedding_size=64, train_batch_size=2048,
                         checkpoint_dir=str(tmp_path))
        trainer = exp.build_trainer(exp.build_model())
        trainer.fit(exp.train_data, exp.valid_data, saved=False)
        assert not torch.are_deterministic_algorithms_enabled()
        states.append(trainer.model.state_dict())
    for state in states[1:]:
        assert all(torch.equal(state[key], states[0][key]) for key in state)


@pytest.mark.parametrize("flag", [False, True])
def test_the_flag_is_put_back(flag):
    memory = torch.utils.deterministic
    torch.use_deterministic_algorithms(flag, warn_only=flag)
    try:
        with deterministic(False):
            assert torch.are_deterministic_algorithms_enabled() is flag
        with deterministic(True):
            assert torch.are_deterministic_algorithms_enabled()
            assert memory.fill_uninitialized_memory is flag
        assert torch.are_deterministic_algorithms_enabled() is flag
        assert torch.is_deterministic_algorithms_warn_only_enabled() is flag
        assert memory.fill_uninitialized_memory
    finally:
        torch.use_deterministic_algorithms(False)
