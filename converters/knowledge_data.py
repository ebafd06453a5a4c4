"""The neutral form between all formats: pairs, triples, sizes, names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

KINDS = ("user", "item", "entity", "relation")


@dataclass(frozen=True)
class KnowledgeData:
    """Interactions and a knowledge graph under the authors' ids.

    Users are 0..n_users-1, items 0..n_items-1, and the entities 0..n_items-1 are the items.

    Attributes:
        name: name of the data set.
        n_users, n_items: size of the interaction matrix.
        train, test: (n, 2) int64, user and item; distinct, ascending by user, then item.
        triples: (m, 3) int64, head, relation, tail, in the source's order, duplicates included.
        duplicates: pairs of the source beyond the first of their kind, by part.
        names: original names by kind (``user``, ``item``, ``entity``, ``relation``): a series
            of str, indexed by id.
        listed_entities: entities that the source's entity list counts (0: no list).
        parts: training and validation part, like ``train``, which is both together, where the
            source divides them itself.
        notices: what could not be read and was not needed, in words.
    """

    name: str
    n_users: int
    n_items: int
    train: np.ndarray
    test: np.ndarray
    triples: np.ndarray
    duplicates: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[str, pd.Series] = field(default_factory=dict)
    listed_entities: int = 0
    parts: tuple[np.ndarray, np.ndarray] | None = None
    notices: tuple[str, ...] = ()

    @property
    def n_entities(self) -> int:
        """Size of the entity id space 0..n-1: items, ids of the graph and of the entity list."""
        highest = int(self.triples[:, [0, 2]].max(initial=-1))
        return max(highest + 1, self.n_items, self.listed_entities)

    @property
    def n_relations(self) -> int:
        """Distinct relations of the graph."""
        return len(distinct(self.triples[:, 1]))


def distinct(values: np.ndarray) -> np.ndarray:
    """Distinct values, ascending.

    Sorting integers is several times faster than the hash table of ``numpy.unique``.
    """
    ordered = np.sort(values)
    return ordered[_first_of_run(ordered[:, None])]


def distinct_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows, ascending from the first column on, and how often each occurs."""
    ordered = rows[np.lexsort(rows.T[::-1])]
    first = np.flatnonzero(_first_of_run(ordered))
    return ordered[first], np.diff(np.r_[first, len(rows)])


def _first_of_run(ordered: np.ndarray) -> np.ndarray:
    """True where a row differs from the one before it."""
    first = np.ones(len(ordered), dtype=bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return first


def distinct_pairs(users: np.ndarray, items: np.ndarray, n_items: int) -> tuple[np.ndarray, int]:
    """Distinct pairs, ascending, and how many pairs were repetitions.

    Args:
        users, items: (n,) integers.
        n_items: size of the item id space.

    Returns:
        (k, 2) int64 pairs, n - k.
    """
    keys = distinct(users.astype(np.int64) * n_items + items)
    return np.stack([keys // n_items, keys % n_items], axis=1), len(users) - len(keys)


def pair_keys(pairs: np.ndarray, n_items: int) -> np.ndarray:
    """(n,) int64: one number per pair, ascending as the pairs are."""
    return pairs[:, 0] * n_items + pairs[:, 1]
