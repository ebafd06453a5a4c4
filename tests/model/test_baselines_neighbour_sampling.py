"""Vectorised draws of neighbours and memories."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from diffkg_recbole.model.baselines.neighbour_sampling import NeighbourLists, draw_positions
from diffkg_recbole.model.baselines.ripplenet import sample_ripple_sets
from tests.tiny_models import build, experiment, interactions, triples

# Entity 0 is [PAD]; 1 has five triples (one twice), 2 has one, 6 and 7 have none.
TRIPLES = np.array([(1, 1, 2), (1, 1, 2), (1, 2, 3), (1, 2, 4), (1, 3, 5), (2, 1, 3), (3, 1, 1),
                    (4, 2, 6), (4, 2, 7), (5, 1, 6)])


@pytest.fixture
def lists():
    head, relation, tail = TRIPLES.T
    return NeighbourLists.from_triples(head, relation, tail, n_entities=8)


def test_every_subset_of_positions_is_equally_likely():
    """All 10 subsets of 3 out of 5, chi-square with 9 degrees of freedom."""
    drawn = draw_positions(np.full(20_000, 5), 3, np.random.default_rng(0))
    counts = Counter(map(tuple, np.sort(drawn, axis=1).tolist()))
    assert set(counts) == set(combinations(range(5), 3))
    expected = 20_000 / 10
    chi_square = sum((n - expected) ** 2 / expected for n in counts.values())
    assert chi_square < 27.9  # exceeded once in a thousand


def test_few_positions_are_drawn_with_repeats():
    drawn = draw_positions(np.full(6_000, 2), 3, np.random.default_rng(0))
    counts = Counter(map(tuple, drawn.tolist()))
    assert len(counts) == 8
    assert max(abs(n - 750) for n in counts.values()) < 110


def test_sizes_may_differ_from_row_to_row():
    sizes = np.array([1, 2, 4, 9, 0, 4])
    drawn = draw_positions(np.tile(sizes, 500), 4, np.random.default_rng(1)).reshape(500, 6, 4)
    for row, size in enumerate(sizes):
        assert set(drawn[:, row].ravel()) == set(range(max(size, 1)))
        if size >= 4:
            assert all(len(set(positions)) == 4 for positions in drawn[:, row])


def test_sampled_neighbours_are_neighbours(lists):
    known = {(h, r, t) for h, r, t in TRIPLES.tolist()}
    entity, relation = lists.sample(3, np.random.default_rng(0))
    for head in range(8):
        pairs = list(zip(relation[head].tolist(), entity[head].tolist()))
        if head in (0, 6, 7):
            assert pairs == [(0, head)] * 3
        else:
            assert all((head, r, t) in known for r, t in pairs)


def test_an_empty_graph_gives_every_entity_itself():
    none = np.zeros(0, dtype=np.int64)
    entity, relation = NeighbourLists.from_triples(none, none, none, 4).sample(
        2, np.random.default_rng(0)
    )
    assert entity.tolist() == [[0, 0], [1, 1], [2, 2], [3, 3]]
    assert not relation.any()


@pytest.mark.parametrize("name", ["KGCN", "KGNNLS"])
def test_kgcn_samples_the_undirected_graph(name):
    exp = experiment(name, neighbor_sample_size=3)
    model = exp.build_model()
    both = {(h, r, t) for h, r, t in triples(exp.train)}
    both |= {(t, r, h) for h, r, t in both}
    degree = Counter()
    for h, _, t in triples(exp.train):
        degree[h] += 1
        degree[t] += 1
    for head in range(model.n_entities):
        pairs = list(zip(model.adj_relation[head].tolist(), model.adj_entity[head].tolist()))
        if degree[head] == 0:
            assert pairs == [(0, head)] * 3
        else:
            assert all((head, r, t) in both for r, t in pairs)
    once = {head for head, n in degree.items() if n == 1}
    assert once, "the test needs an entity with one triple"


# ---- RippleNet's memories ---------------------------------------------------------------------


def ripple_sets(lists, users, items, n_memory, seed=0):
    return sample_ripple_sets(lists, np.array(users), np.array(items), n_users=5, n_hop=2,
                              n_memory=n_memory, generator=np.random.default_rng(seed))


def test_memories_are_triples_that_ripple_from_the_items(lists):
    users, items = [1, 1, 2, 3, 4], [1, 2, 4, 6, 5]
    sets = ripple_sets(lists, users, items, n_memory=4)
    known = set(map(tuple, TRIPLES.tolist()))
    liked = {u: {i for v, i in zip(users, items) if v == u} for u in range(5)}
    for user in (1, 2, 4):
        first = [tuple(t) for t in sets[user, 0].T.tolist()]
        assert all(t in known and t[0] in liked[user] for t in first)
        tails = {t[2] for t in first}
        second = [tuple(t) for t in sets[user, 1].T.tolist()]
        continues = any(head in tails for head in TRIPLES[:, 0])
        assert all(t in known and t[0] in tails for t in second) if continues else first == second
    assert not sets[0].any()  # [PAD]
    assert not sets[3].any()  # likes an entity without a triple
    np.testing.assert_array_equal(sets[4, 0], sets[4, 1])  # nothing goes on from entity 6


def test_the_first_hop_is_a_uniform_subset_of_all_triples_of_the_items(lists):
    """User 1 has items 1, 2 and 3: seven triples, each in the memory with probability 3 / 7."""
    counts = Counter()
    for seed in range(2000):
        sets = ripple_sets(lists, [1, 1, 1], [1, 2, 3], n_memory=3, seed=seed)
        counts.update(map(tuple, sets[1, 0].T.tolist()))
    shares = {t: n / 2000 for t, n in counts.items()}
    assert shares.pop((1, 1, 2)) == pytest.approx(6 / 7, abs=0.05)  # it is there twice
    assert shares == {t: pytest.approx(3 / 7, abs=0.05) for t in shares}
    assert len(shares) == 5


def test_ripplenet_builds_memories_from_its_data():
    exp = experiment("RippleNet", n_memory=5)
    model = exp.build_model()
    assert model.ripple_set.shape == (model.n_users, 2, 3, 5)
    known = set(triples(exp.train))
    liked = {}
    for user, item in interactions(exp.train):
        liked.setdefault(user, set()).add(item)
    some = 0
    for user in liked:
        memory = [tuple(t) for t in model.ripple_set[user, 0].t().tolist()]
        if any(h in liked[user] for h, _, _ in known):
            assert all(t in known and t[0] in liked[user] for t in memory)
            some += 1
        else:
            assert memory == [(0, 0, 0)] * 5
    assert some > 50
    assert not hasattr(model, "kg")


def test_the_seed_of_the_run_draws_the_memories():
    same = [build("RippleNet", seed=s).ripple_set for s in (1, 1, 2)]
    assert (same[0] == same[1]).all()
    assert not (same[0] == same[2]).all()
