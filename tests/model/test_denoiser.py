from __future__ import annotations

import math

import pytest
import torch

from benchmarks import reference
from diffkg_recbole.model.denoiser import Denoiser, time_embedding
from tests.denoisers import plain_prediction, prediction, random_denoiser, recorded_denoiser


@pytest.mark.parametrize("size", [10, 11])
def test_time_embedding_equals_the_recorded_one(golden, size):
    found = time_embedding(torch.tensor(golden["in/ts"]), size)
    torch.testing.assert_close(
        found, torch.tensor(golden[f"denoise/time_emb{size}"]), rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("size", [1, 2, 7])
def test_time_embedding_equals_the_plain_form(size):
    t = torch.tensor([0, 3])
    torch.testing.assert_close(
        time_embedding(t, size, torch.float64), reference.time_embedding(t, size, torch.float64),
        rtol=1e-12, atol=0)


def test_prediction_equals_the_recorded_ones(golden):
    denoiser = recorded_denoiser(golden)
    x_t, t = torch.tensor(golden["diff/q_sample"]), torch.tensor(golden["in/ts"])
    mask = torch.tensor(golden["in/drop_mask"]) > 0
    for name, keep_mask in (("eval", None), ("train_nodrop", None), ("train_mask", mask)):
        expected = torch.tensor(golden[f"denoise/{name}"])
        found = prediction(denoiser, x_t, t, keep_mask)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("hidden_sizes", [(7,), (6, 3), (6, 4, 2)])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("with_mask", [True, False])
def test_prediction_and_gradients_equal_the_plain_form(hidden_sizes, normalize, with_mask):
    denoiser = random_denoiser(9, hidden_sizes, normalize)
    denoiser.dropout = 0.3
    generator = torch.Generator().manual_seed(1)
    x_t, cotangent = torch.randn(2, 4, 9, dtype=torch.float64, generator=generator)
    x_t[2] = 0
    t = torch.tensor([0, 4, 2, 2])
    mask = torch.rand(4, 9, generator=generator) < 0.7 if with_mask else None
    results = []
    for form in (prediction, plain_prediction):
        predicted = form(denoiser, x_t, t, mask)
        results.append((predicted, *torch.autograd.grad(
            (predicted * cotangent).sum(), list(denoiser.parameters())
        )))
    for found, expected in zip(*results):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_layers_narrow_and_widen_again():
    denoiser = Denoiser(
        n_entities=9, hidden_sizes=[6, 4, 2], time_embedding_size=3, normalize=True
    )
    shapes = [tuple(layer.weight.shape) for layer in denoiser.middle]
    assert shapes == [(4, 6), (2, 4), (4, 2), (6, 4)]
    assert denoiser.input_weight.shape == (9, 6)
    assert denoiser.output.weight.shape == (9, 6)


def test_initial_spread_follows_fan_in_and_fan_out():
    denoiser = Denoiser(
        n_entities=900, hidden_sizes=[300], time_embedding_size=100, normalize=True
    )
    denoiser.reset_parameters(torch.Generator().manual_seed(0))
    first = torch.cat((denoiser.input_weight, denoiser.time_weight))
    for weight, fans in (
        (first, 1000 + 300), (denoiser.time_weight, 1000 + 300),
        (denoiser.output.weight, 300 + 900), (denoiser.time_layer.weight, 100 + 100),
    ):
        assert float(weight.detach().std()) == pytest.approx(math.sqrt(2 / fans), rel=0.03)
        assert abs(float(weight.detach().mean())) < 0.05 * math.sqrt(2 / fans)
    biases = torch.cat((denoiser.input_bias, denoiser.output.bias, denoiser.time_layer.bias))
    assert float(biases.detach().std()) == pytest.approx(0.001, rel=0.1)


def test_initial_parameters_depend_on_the_generator_alone():
    denoiser = random_denoiser(9)
    denoiser.reset_parameters(torch.Generator().manual_seed(3))
    first = {name: p.clone() for name, p in denoiser.state_dict().items()}
    torch.randn(5)
    denoiser.reset_parameters(torch.Generator().manual_seed(3))
    for name, parameter in denoiser.state_dict().items():
        assert torch.equal(parameter, first[name])


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"hidden_sizes": []}, "hidden layer"), ({"dropout": 1.0}, r"\[0, 1\)"),
     ({"dropout": -0.1}, r"\[0, 1\)")],
)
def test_impossible_settings_are_named(changed, message):
    settings = {"hidden_sizes": [4], "dropout": 0.5, **changed}
    with pytest.raises(ValueError, match=message):
        Denoiser(n_entities=5, time_embedding_size=4, normalize=True, **settings)
