"""Triples of the TransE epoch and their wrong tails."""

from __future__ import annotations

import pytest
import torch

from diffkg_recbole.model.kgcl.draws import KGCLDraws
from diffkg_recbole.model.kgcl.triples import TripleSampler

HEADS = torch.tensor([0, 0, 1, 2, 3, 3, 3])
RELATIONS = torch.tensor([0, 1, 0, 1, 2, 2, 3])
TAILS = torch.tensor([4, 5, 0, 3, 0, 1, 2])


@pytest.fixture
def sampler() -> TripleSampler:
    return TripleSampler(HEADS, RELATIONS, TAILS, n_entities=6)


def as_triples(batches) -> list[tuple[int, int, int]]:
    return [
        triple
        for batch in batches
        for triple in zip(batch.heads.tolist(), batch.relations.tolist(), batch.tails.tolist())
    ]


def test_every_triple_comes_once_per_epoch_in_the_drawn_order(sampler):
    draws = KGCLDraws(5)
    order = KGCLDraws(5).triple_order(7)
    expected = list(zip(*(column[order].tolist() for column in (HEADS, RELATIONS, TAILS))))
    batches = list(sampler.epoch(3, draws))
    assert [batch.heads.numel() for batch in batches] == [3, 3, 1]
    assert as_triples(batches) == expected
    assert sorted(expected) != expected


def test_wrong_tails_are_no_edges_and_cover_the_other_entities(sampler):
    draws = KGCLDraws(1)
    edges = set(zip(HEADS.tolist(), TAILS.tolist()))
    seen = set()
    for _ in range(60):
        for batch in sampler.epoch(4, draws):
            seen |= set(zip(batch.heads.tolist(), batch.wrong_tails.tolist()))
    assert not seen & edges
    assert seen == {(h, t) for h in (0, 1, 2, 3) for t in range(6)} - edges


def test_wrong_tails_are_uniform(sampler):
    heads = torch.zeros(40_000, dtype=torch.long)  # tails 4 and 5 are taken
    counts = torch.bincount(sampler.wrong_tails(heads, KGCLDraws(2)), minlength=6)
    assert counts[4:].sum() == 0
    # four cells of 10,000 expected: five standard deviations are 433
    assert (counts[:4] - 10_000).abs().max() < 433


def test_a_head_joined_to_every_entity_does_not_hang():
    tails = torch.arange(5)
    sampler = TripleSampler(torch.zeros(5).long(), torch.zeros(5).long(), tails, n_entities=5)
    (batch,) = sampler.epoch(8, KGCLDraws(0))
    assert batch.wrong_tails.shape == (5,)
    assert batch.wrong_tails.max() < 5


def test_a_graph_without_triples_gives_no_batch():
    empty = torch.empty(0, dtype=torch.long)
    assert list(TripleSampler(empty, empty, empty, n_entities=3).epoch(4, KGCLDraws(0))) == []


def test_the_same_seed_gives_the_same_epoch(sampler):
    first = [torch.stack(batch) for batch in sampler.epoch(4, KGCLDraws(9))]
    second = [torch.stack(batch) for batch in sampler.epoch(4, KGCLDraws(9))]
    other = [torch.stack(batch) for batch in sampler.epoch(4, KGCLDraws(10))]
    assert torch.equal(torch.cat(first, 1), torch.cat(second, 1))
    assert not torch.equal(torch.cat(first, 1), torch.cat(other, 1))
