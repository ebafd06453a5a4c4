"""Random draws: right rates, one seed one sequence, states that go on."""

import pytest
import torch

from diffkg_recbole.model.draws import Draws


@pytest.mark.parametrize("keep", [0.5, 0.25, 0.9, 0.1, 1.0, 0.0])
def test_keep_masks_have_the_rate(keep):
    mask = Draws(3).keep_mask(1000, 401, keep)
    assert mask.shape == (1000, 401)
    assert mask.dtype == torch.bool
    deviation = (keep * (1 - keep) / mask.numel()) ** 0.5
    assert mask.double().mean().item() == pytest.approx(keep, abs=5 * deviation)
    rows, columns = mask.double().mean(1), mask.double().mean(0)
    assert rows.std().item() == pytest.approx((keep * (1 - keep) / 401) ** 0.5, rel=0.2, abs=1e-9)
    assert columns.std().item() == pytest.approx((keep * (1 - keep) / 1000) ** 0.5, rel=0.2,
                                                 abs=1e-9)


@pytest.mark.parametrize(("keep", "expected"), [(2**-18, 16), (1 - 2**-16, 2**22 - 64)])
def test_rare_keeps_and_rare_drops_are_neither_rounded_away(keep, expected):
    kept = int(Draws(3).keep_mask(2048, 2048, keep).sum())
    assert kept not in (0, 2**22)
    assert kept == pytest.approx(expected, abs=5 * 8)


def test_time_steps_take_every_value_equally():
    counts = torch.bincount(Draws(1).time_steps(10_000, 5), minlength=5)
    assert len(counts) == 5
    assert (counts - 2000).abs().max() < 5 * (10_000 * 0.2 * 0.8) ** 0.5


def all_draws(draws):
    return [draws.edge_keys(5), draws.row_order(7), draws.keep_uniform(4), draws.time_steps(6, 5),
            draws.noise(3, 4), draws.keep_mask(3, 5, 0.5), draws.keep_mask(3, 5, 0.7)]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other))


def test_one_seed_gives_one_sequence():
    assert same(all_draws(Draws(1)), all_draws(Draws(1)))
    assert not any(torch.equal(a, b) for a, b in zip(all_draws(Draws(1)), all_draws(Draws(2))))


def test_a_stored_state_goes_on():
    draws = Draws(1)
    all_draws(draws)
    state = draws.state()
    expected = all_draws(draws)
    other = Draws(99)
    other.load_state(state)
    assert same(all_draws(other), expected)


def test_draws_leave_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    all_draws(Draws(5))
    assert torch.equal(torch.rand(3), expected)
