"""Sets of pairs against Python's own sets."""

import numpy as np
import pytest

from diffkg_recbole.data.pairs import UsedPairs, among, distinct, first_of_each

CASES = [[], [3], [2, 2, 2], [5, 1, 5, 3, 1, 9], list(range(20, 0, -1)), [0, 10**15, 0, 7]]


@pytest.mark.parametrize("keys", CASES)
def test_distinct_keys_and_first_occurrences(keys):
    array = np.array(keys, dtype=np.int64)
    assert distinct(array).tolist() == sorted(set(keys))
    assert first_of_each(array).tolist() == [keys.index(k) == i for i, k in enumerate(keys)]
    assert array.tolist() == keys


@pytest.mark.parametrize("keys", CASES)
def test_membership(keys):
    asked = np.array([*keys, -1, 4, 10**15 + 1], dtype=np.int64)
    found = among(asked, distinct(np.array(keys, dtype=np.int64)))
    assert found.tolist() == [k in set(keys) for k in asked.tolist()]


@pytest.mark.parametrize("n_pairs", [0, 1, 5, 3000])
def test_used_pairs_hold_their_pairs_and_those_of_an_earlier_set(n_pairs):
    rng = np.random.default_rng(n_pairs)
    n_keys, n_values = 60, 400

    def draw(n):
        return rng.integers(n_keys, size=n), rng.integers(n_values, size=n)

    first, second, asked = draw(n_pairs), draw(n_pairs), draw(20_000)
    earlier = UsedPairs(*first, n_values)
    both = UsedPairs(*second, n_values, earlier)
    pairs = set(zip(*(part.tolist() for part in first)))
    everything = pairs | set(zip(*(part.tolist() for part in second)))
    for used, expected in ((earlier, pairs), (both, everything)):
        found = used.contains(*asked).tolist()
        assert found == [pair in expected for pair in zip(*(a.tolist() for a in asked))]
        counts = [sum(key == k for key, _ in expected) for k in range(n_keys)]
        assert used.values_per_key(n_keys).tolist() == counts
