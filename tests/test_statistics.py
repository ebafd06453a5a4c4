from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, rankdata
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from diffkg_recbole.errors import UserError
from diffkg_recbole.statistics import (
    IncomparableError,
    Measure,
    bootstrap_interval,
    check_comparable,
    holm,
    paired_test,
    user_means,
)
from diffkg_recbole.store import CorruptRunError
from tests.run_folders import fingerprint, finished_run

# --- over seeds -------------------------------------------------------------------------------


def test_spread_of_three_seeds_by_hand():
    measure = Measure((0.1, 0.2, 0.6))
    assert measure.mean == pytest.approx(0.3)
    assert measure.sd == pytest.approx(math.sqrt((0.04 + 0.01 + 0.09) / 2))
    assert Measure((0.5,)).sd is None


# --- paired tests -----------------------------------------------------------------------------


def test_paired_test_by_hand():
    """Differences 1, 2, 3, 4: mean 5/2, variance 5/3, t = sqrt(15); all ranks positive."""
    result = paired_test(np.array([3, 5, 7, 9]), np.array([2, 3, 4, 5]))
    assert result.users == 4
    assert (result.mean_first, result.mean_second, result.difference) == (6.0, 3.5, 2.5)
    assert result.t == pytest.approx(math.sqrt(15))
    assert result.effect_size == pytest.approx(math.sqrt(15) / 2)
    # Student's t with 3 degrees of freedom: F(t) = 1/2 + (x / (1 + x²) + atan x) / pi, x = t/√3
    x = math.sqrt(5)
    assert result.p_t == pytest.approx(1 - 2 * (x / 6 + math.atan(x)) / math.pi)
    assert (result.w, result.p_wilcoxon) == (0.0, pytest.approx(2 / 2**4))


def test_swapping_the_rows_only_turns_the_sign():
    rng = np.random.default_rng(3)
    one, two = rng.random(50), rng.random(50)
    forth, back = paired_test(one, two), paired_test(two, one)
    assert back.t == pytest.approx(-forth.t)
    assert back.effect_size == pytest.approx(-forth.effect_size)
    assert back.p_t == pytest.approx(forth.p_t)
    assert back.p_wilcoxon == pytest.approx(forth.p_wilcoxon)


def test_t_test_equals_statsmodels():
    rng = np.random.default_rng(0)
    one, two = rng.random(300), rng.random(300) * 0.9
    result = paired_test(one, two)
    t, p, _ = DescrStatsW(one - two).ttest_mean(0.0)
    assert result.t == pytest.approx(t, rel=1e-10)
    assert result.p_t == pytest.approx(p, rel=1e-8)


def test_wilcoxon_equals_its_normal_form_with_ties_and_zeros():
    """W+ has mean n(n+1)/4 and variance n(n+1)(2n+1)/24 - sum(t³ - t)/48 over tied groups."""
    rng = np.random.default_rng(1)
    differences = rng.integers(-2, 4, size=400) / 10
    nonzero = differences[differences != 0]
    n, ranks = len(nonzero), rankdata(np.abs(nonzero).round(9))
    positive = ranks[nonzero > 0].sum()
    ties = np.unique(ranks, return_counts=True)[1].astype(float)
    variance = n * (n + 1) * (2 * n + 1) / 24 - (ties**3 - ties).sum() / 48
    expected = 2 * norm.sf(abs(positive - n * (n + 1) / 4) / math.sqrt(variance))
    result = paired_test(differences + 0.3, np.full(400, 0.3))
    assert result.w == pytest.approx(min(positive, ranks.sum() - positive))
    assert result.p_wilcoxon == pytest.approx(expected, rel=1e-9)


def test_identical_models_do_not_differ():
    values = np.array([0.1, 0.5, 0.9])
    result = paired_test(values, values.copy())
    assert (result.t, result.p_t, result.w, result.p_wilcoxon) == (0.0, 1.0, 0.0, 1.0)
    assert (result.effect_size, result.interval) == (0.0, (0.0, 0.0))


def test_rounding_noise_is_no_difference():
    """Means of the same three values, summed in another order, differ in the last bit."""
    one = np.array([(0.1 + 0.2 + 0.3) / 3, (0.7 + 0.1 + 0.2) / 3])
    two = np.array([(0.3 + 0.2 + 0.1) / 3, (0.2 + 0.1 + 0.7) / 3])
    assert (one != two).any()
    assert paired_test(one, two).p_wilcoxon == 1.0


def test_the_same_difference_for_every_user_is_certain():
    result = paired_test(np.array([0.3, 0.5]), np.array([0.4, 0.6]))
    assert (result.t, result.p_t, result.effect_size) == (-math.inf, 0.0, -math.inf)
    assert result.interval == pytest.approx((-0.1, -0.1))


def test_too_few_users_and_unequal_shapes():
    with pytest.raises(UserError, match="at least two users, got 1"):
        paired_test(np.array([1.0]), np.array([2.0]))
    with pytest.raises(ValueError, match="one shape"):
        paired_test(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="finite"):
        paired_test(np.array([1.0, np.nan]), np.ones(2))


# --- Holm -------------------------------------------------------------------------------------


def test_holm_by_hand():
    """Sorted .01, .02, .03, .04 times 4, 3, 2, 1 = .04, .06, .06, .04; then the running max."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("seed", range(5))
def test_holm_equals_statsmodels(seed):
    p = np.random.default_rng(seed).random(30) ** 3
    p[5] = p[6]
    expected = multipletests(p, method="holm")[1]
    np.testing.assert_allclose(holm(p.tolist()), expected, rtol=1e-12)


# --- bootstrap --------------------------------------------------------------------------------


def test_bootstrap_of_two_values_by_hand():
    """The mean of two draws from {0, 1} is 0, 1/2, 1 with chances 1/4, 1/2, 1/4."""
    values = np.array([0.0, 1.0])
    assert bootstrap_interval(values, confidence=0.95) == (0.0, 1.0)
    assert bootstrap_interval(values, confidence=0.40) == (0.5, 0.5)


def test_bootstrap_agrees_with_statsmodels_for_many_users_and_is_seeded():
    values = np.random.default_rng(0).normal(0.01, 0.2, size=5000)
    interval = bootstrap_interval(values, seed=1)
    np.testing.assert_allclose(interval, DescrStatsW(values).zconfint_mean(), atol=0.0006)
    assert bootstrap_interval(values, seed=1) == interval
    assert bootstrap_interval(values, seed=2) != interval


def test_resamples_of_many_users_are_not_held_at_once():
    values = np.random.default_rng(0).random(100_000)
    tracemalloc.start()
    low, high = bootstrap_interval(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e8  # a table of all resamples takes 1.6 GB
    assert low < values.mean() < high


# --- runs -------------------------------------------------------------------------------------


def test_users_are_averaged_over_seeds_before_they_are_compared(tmp_path):
    rows = {
        "A": [finished_run(tmp_path, {"u1": 0.0, "u2": 1.0, "u3": 0.5}, model="A", seed=1),
              finished_run(tmp_path, {"u3": 0.5, "u2": 0.0, "u1": 1.0}, model="A", seed=2)],
        "B": [finished_run(tmp_path, {"u2": 0.1, "u1": 0.2, "u3": 0.6}, model="B", seed=1)],
    }
    means = user_means(rows["A"], ["recall@20"])["recall@20"]
    assert means.to_dict() == {"u1": 0.5, "u2": 0.5, "u3": 0.5}
    assert user_means(rows["B"], ["recall@20"]).index.tolist() == ["u2", "u1", "u3"]


def test_a_user_missing_in_one_seed_is_named(tmp_path):
    runs = [finished_run(tmp_path, {"u1": 0.0, "u2": 1.0}, seed=1),
            finished_run(tmp_path, {"u1": 0.0, "u3": 1.0}, seed=2)]
    with pytest.raises(UserError, match=rf"run {runs[1].folder.name} lacks 1 users .*'u2'"):
        user_means(runs, ["recall@20"])


def test_repeated_users_and_unknown_metrics_are_refused(tmp_path):
    twice = pd.DataFrame({"user": ["u", "u"], "n_train": [1, 1], "recall@20": [0.0, 1.0]})
    with pytest.raises(CorruptRunError, match="repeated users"):
        user_means([finished_run(tmp_path, twice)], ["recall@20"])
    fine = finished_run(tmp_path, {"u1": 0.0, "u2": 1.0}, seed=5)
    with pytest.raises(UserError, match=r"no per-user values of \['ndcg@5'\].*recall@20"):
        user_means([fine], ["ndcg@5"])


def test_an_empty_row(tmp_path):
    run = finished_run(tmp_path, {"u1": 0.0, "u2": 1.0})
    with pytest.raises(IncomparableError, match="row 'B' has no run"):
        check_comparable({"A": [run], "B": []})


# --- what may be compared ---------------------------------------------------------------------

USERS = {"u1": 0.0, "u2": 1.0}


def _pairs(*pairs: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame({"user": [user for user, _ in pairs], "item": [item for _, item in pairs],
                         "rank": 0, "item_popularity": 1, "item_triples": 0})


def test_different_test_pairs_are_counted_from_the_files(tmp_path):
    counts = {"users": 2, "items": 9, "train": 20, "valid": 4, "test": 3}
    one = finished_run(tmp_path, USERS, model="A", fingerprint=fingerprint("a", counts=counts),
                       pairs=_pairs(("u1", "i1"), ("u1", "i2"), ("u2", "i3")))
    two = finished_run(
        tmp_path, USERS, model="B", pairs=_pairs(("u1", "i1"), ("u2", "i4")),
        fingerprint=fingerprint("a", test="other", all="o", counts={**counts, "test": 2}))
    with pytest.raises(IncomparableError) as caught:
        check_comparable({"A": [one], "B": [two]})
    message = str(caught.value)
    assert "different test pairs (3 against 2), 2 of them only in the first, " \
           "1 only in the second" in message
    assert one.folder.name in message
    assert two.folder.name in message
    assert "train pairs" not in message


@pytest.mark.parametrize(("change", "said"), [
    ({"protocol": "authors"}, "protocol 'clean' against 'authors'"),
    ({"evaluation": "uni100"}, "evaluation 'full' against 'uni100'"),
    ({"configuration": {"eval_args": {"mode": "uni100"}}}, "evaluation 'full' against 'uni100'"),
    ({"configuration": {"eval_args": {"mode": {"valid": "uni100", "test": "full"}}}},
     "evaluation 'full' against 'full, validation uni100'"),
    ({"dataset": "other"}, "dataset 'tiny' against 'other'"),
    ({"fingerprint": fingerprint(train="x", all="y")}, "different train pairs (20 against 20)"),
    ({"fingerprint": fingerprint(users="x", all="y")}, "different users (4 against 4)"),
    ({"fingerprint": fingerprint(valid="x", all="y")}, "different valid pairs (4 against 4)"),
    ({"fingerprint": fingerprint(counts={"users": 4, "items": 8, "train": 20, "valid": 4,
                                         "test": 6})}, "different items (9 against 8)"),
])
def test_what_differs_is_said(tmp_path, change, said):
    one = finished_run(tmp_path, USERS, model="A")
    two = finished_run(tmp_path, USERS, model="B", **change)
    with pytest.raises(IncomparableError) as caught:
        check_comparable({"A": [one], "B": [two]})
    assert said in str(caught.value)
    assert str(caught.value).count(";") == 0  # and nothing else does


def test_another_graph_is_no_other_data(tmp_path):
    one = finished_run(tmp_path, USERS, model="A")
    two = finished_run(tmp_path, USERS, model="A", label="A, kg: none", kg="none",
                       fingerprint=fingerprint(all="without graph"))
    check_comparable({"A": [one], "A, kg: none": [two]})


def test_one_row_with_two_sorts_of_data_under_one_split_seed_is_refused(tmp_path):
    runs = [finished_run(tmp_path, USERS, seed=1),
            finished_run(tmp_path, USERS, seed=2, fingerprint=fingerprint("b"))]
    with pytest.raises(IncomparableError, match="different train pairs"):
        check_comparable({"A": runs})


def test_splits_are_a_second_factor_that_every_row_must_have(tmp_path):
    def run(model: str, seed: int, split: int, users: dict[str, float]):
        return finished_run(tmp_path, users, model=model, seed=seed, split_seed=split,
                            fingerprint=fingerprint(f"split{split}"))

    complete = [run("A", 1, 0, {"u1": 0.0, "u2": 0.2}), run("A", 2, 0, {"u1": 0.5, "u2": 0.4}),
                run("A", 1, 1, {"u1": 1.0, "u3": 0.7})]
    assert user_means(complete, ["recall@20"])["recall@20"].to_dict() == pytest.approx(
        {"u1": (0.25 + 1.0) / 2, "u2": 0.3, "u3": 0.7})
    partial = [run("B", 1, 0, USERS)]
    with pytest.raises(IncomparableError, match="'B' has no run with split seed 1"):
        check_comparable({"A": complete, "B": partial})
    check_comparable({"A": complete, "B": [*partial, run("B", 1, 1, {"u1": 0.0, "u3": 0.1})]})
