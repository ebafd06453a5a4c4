"""Neighbours of entities drawn for all entities or users at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


def seeded_generator() -> np.random.Generator:
    """A NumPy generator seeded from torch's global one, which the run's ``seed`` sets."""
    return np.random.default_rng(int(torch.randint(2**62, ())))


def draw_positions(sizes: np.ndarray, k: int, generator: np.random.Generator) -> np.ndarray:
    """k positions out of range(size) for every size: distinct where size >= k, else with repeats.

    The distribution is that of one ``np.random.choice(size, k, replace=size < k)`` per row;
    distinct positions are drawn by Floyd's algorithm, all rows at once. Their order within a row
    is not uniform.

    Args:
        sizes: [m] int; rows of size 0 get zeros.

    Returns:
        [m, k] int64.
    """
    sizes = np.asarray(sizes, dtype=np.int64)
    with_repeats = generator.integers(np.maximum(sizes, 1)[:, None], size=(len(sizes), k))
    drawn = np.full((len(sizes), k), -1, dtype=np.int64)
    for column in range(k):
        last = np.maximum(sizes - k + column, 0)
        position = generator.integers(last + 1)
        taken = (drawn[:, :column] == position[:, None]).any(axis=1)
        drawn[:, column] = np.where(taken, last, position)
    return np.where((sizes >= k)[:, None], drawn, with_repeats)


@dataclass(frozen=True)
class NeighbourLists:
    """Tails and relations of every head: CSR by head, in the order of the triples.

    Attributes:
        start: [n_entities + 1] int64.
        tail: [E] int64.
        relation: [E] int64.
    """

    start: np.ndarray
    tail: np.ndarray
    relation: np.ndarray

    @classmethod
    def from_triples(
        cls, head: np.ndarray, relation: np.ndarray, tail: np.ndarray, n_entities: int
    ) -> NeighbourLists:
        """Group triples by head."""
        order = np.argsort(head, kind="stable")
        start = np.zeros(n_entities + 1, dtype=np.int64)
        np.cumsum(np.bincount(head, minlength=n_entities), out=start[1:])
        return cls(start, tail[order].astype(np.int64), relation[order].astype(np.int64))

    @property
    def degree(self) -> np.ndarray:
        """Number of triples of every head, [n_entities]."""
        return np.diff(self.start)

    def sample(self, k: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """k neighbours of every entity; an entity without one gets itself by relation 0.

        Returns:
            entities and relations, each [n_entities, k].
        """
        degree = self.degree
        n = len(degree)
        isolated = (degree == 0)[:, None]
        position = self.start[:-1, None] + draw_positions(degree, k, generator)
        position = np.where(isolated, 0, position)
        if not len(self.tail):
            return np.repeat(np.arange(n)[:, None], k, axis=1), np.zeros((n, k), dtype=np.int64)
        entity = np.where(isolated, np.arange(n)[:, None], self.tail[position])
        return entity, np.where(isolated, 0, self.relation[position])
