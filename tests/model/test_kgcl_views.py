"""Item stability and keep probabilities against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffkg_recbole.model.kgcl.views import item_stability, keep_probability


def plain_keep_probability(stability: np.ndarray, mean_keep_rate: float) -> np.ndarray:
    weight = np.array([np.exp(s) for s in stability])
    scaled = [(w - weight.min()) / (weight.max() - weight.min()) for w in weight]
    floored = [max(w, 0.3) for w in scaled]
    mean = sum(floored) / len(floored)
    return np.array([min(mean_keep_rate / mean * w, 0.95) for w in floored])


def test_stability_is_the_cosine_of_each_row():
    first = torch.tensor([[1.0, 0.0], [3.0, 4.0], [1.0, 1.0]])
    second = torch.tensor([[0.0, 2.0], [3.0, 4.0], [-1.0, -1.0]])
    np.testing.assert_allclose(item_stability(first, second), [0.0, 1.0, -1.0], atol=1e-15)


def test_equal_representations_are_equally_stable_whatever_their_direction():
    rows = torch.nn.functional.normalize(torch.randn(500, 64, dtype=torch.float32))
    stability = item_stability(rows, rows.clone())
    assert stability.dtype == torch.float64
    np.testing.assert_allclose(stability, 1.0, atol=1e-14)
    assert stability.max() <= 1.0


def test_keep_probability_by_hand():
    # exp(s) = 1, 2, 3: scaled to 0, 1/2, 1; floored to .3, .5, 1; mean .6
    stability = torch.log(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    kept = keep_probability(stability, mean_keep_rate=0.3)
    np.testing.assert_allclose(kept, [0.15, 0.25, 0.5], rtol=1e-13)


def test_keep_probability_never_exceeds_the_ceiling():
    stability = torch.log(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    kept = keep_probability(stability, mean_keep_rate=0.72)
    np.testing.assert_allclose(kept, [0.36, 0.6, 0.95], rtol=1e-13)


@pytest.mark.parametrize("mean_keep_rate", [0.5, 0.6, 0.7, 1.0])
def test_keep_probability_equals_the_plain_form(mean_keep_rate):
    stability = np.random.default_rng(3).uniform(-1, 1, 200)
    kept = keep_probability(torch.from_numpy(stability), mean_keep_rate)
    expected = plain_keep_probability(stability, mean_keep_rate)
    np.testing.assert_allclose(kept, expected, rtol=1e-12)
    assert (kept > 0).all()
    assert (kept <= 0.95).all()


@pytest.mark.parametrize(("mean_keep_rate", "expected"), [(0.5, 0.5), (0.7, 0.7), (1.0, 0.95)])
def test_equally_stable_items_are_kept_equally_often(mean_keep_rate, expected):
    stability = torch.full((7,), 0.4, dtype=torch.float64)
    np.testing.assert_allclose(keep_probability(stability, mean_keep_rate), expected, rtol=1e-13)


def test_rounding_noise_does_not_make_items_differ():
    stability = 1.0 - torch.rand(50, dtype=torch.float64) * 1e-12
    np.testing.assert_allclose(keep_probability(stability, 0.6), 0.6, rtol=1e-9)


def test_one_item_alone():
    np.testing.assert_allclose(keep_probability(torch.tensor([0.2]).double(), 0.6), [0.6])


def test_permuting_items_permutes_the_probabilities():
    stability = torch.rand(40, dtype=torch.float64)
    order = torch.randperm(40)
    direct = keep_probability(stability, 0.6)[order]
    np.testing.assert_allclose(keep_probability(stability[order], 0.6), direct, rtol=1e-13)
