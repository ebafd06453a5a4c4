"""The small synthetic data set ``tiny``: ``python -m converters.synthetic`` writes it anew.

Users prefer two of the eight genres, and the graph tells the genres, so there is something to
learn. On purpose it also holds one of everything that real data hold and programs trip over; the
constants below say how many of each.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .convert import Outcome, Request, write_dataset
from .knowledge_data import KnowledgeData, distinct_pairs

SEED = 20240304
USERS, ITEMS, GENRES, MAKERS = 120, 90, 8, 24
ISOLATED = 2  # entity ids in no triple, between the genres and the makers
GENRE_OF, MADE_BY, WORKS_IN, FOLLOWS = range(4)  # relations
UNLINKED_ITEMS = 5  # the last items: no triple
SILENT_ITEMS = (40, 88)  # items without any pair, one of them without a triple too
TEST_ONLY_ITEM = 41
EMPTY_USER, SINGLE_USER, TEST_ONLY_USER = 117, 118, 119
OVERLAP = 3  # test pairs that are also in train
REPEATED_TRIPLES = 2


def tiny() -> KnowledgeData:
    """The data set; the same on every machine."""
    # Only Generator.random is used: the one stream NumPy has kept unchanged.
    generator = np.random.default_rng(SEED)
    genre = (generator.random(ITEMS) * GENRES).astype(np.int64)
    train, test = _pairs(generator, genre)
    return KnowledgeData("tiny", USERS, ITEMS, train, test, _triples(generator, genre))


def _pairs(generator: np.random.Generator, genre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Training and test pairs: 8 to 23 items a user, one in four to test."""
    liked = (generator.random((USERS, 2)) * GENRES).astype(np.int64)
    weight = np.where((liked[:, :, None] == genre).any(axis=1), 12.0, 1.0)
    weight *= 0.3 + generator.random(ITEMS)  # some items are popular
    weight[:, list(SILENT_ITEMS)] = 0
    # The n largest of u^(1/w) are a weighted draw of n without replacement.
    with np.errstate(divide="ignore"):
        key = np.where(weight > 0, np.log(generator.random((USERS, ITEMS))) / weight, -np.inf)
    wanted = 8 + (generator.random(USERS) * 16).astype(np.int64)
    wanted[EMPTY_USER], wanted[SINGLE_USER], wanted[TEST_ONLY_USER] = 0, 2, 3
    rank = (-key).argsort(axis=1).argsort(axis=1)
    users, items = np.nonzero(rank < wanted[:, None])
    to_test = rank[users, items] % 4 == 1
    to_test[(users == TEST_ONLY_USER) | (items == TEST_ONLY_ITEM)] = True
    train, test = ((users[part], items[part]) for part in (~to_test, to_test))
    again = slice(0, OVERLAP)
    test = tuple(np.r_[theirs, ours[again]] for theirs, ours in zip(test, train))
    return distinct_pairs(*train, n_items=ITEMS)[0], distinct_pairs(*test, n_items=ITEMS)[0]


def _triples(generator: np.random.Generator, genre: np.ndarray) -> np.ndarray:
    """Item genres and makers, makers' genres, sequels, and the deliberate oddities."""
    linked = np.arange(ITEMS - UNLINKED_ITEMS)
    genres = ITEMS + genre
    makers = ITEMS + GENRES + ISOLATED + np.arange(MAKERS)
    maker = makers[(generator.random(ITEMS) * MAKERS).astype(np.int64)]
    maker_genre = ITEMS + (generator.random(MAKERS) * GENRES).astype(np.int64)
    sequels = linked[generator.random(len(linked)) < 0.3]
    blocks = [
        (linked, GENRE_OF, genres[linked]),
        (linked, MADE_BY, maker[linked]),
        (makers, WORKS_IN, maker_genre),
        (sequels[1:], FOLLOWS, sequels[:-1]),
        (sequels[1:2], MADE_BY, sequels[:1]),  # a second relation for a pair
        (sequels[:1], FOLLOWS, sequels[1:2]),  # the same pair the other way round
        (linked[7:8], FOLLOWS, linked[7:8]),  # an entity with itself
        (linked[:REPEATED_TRIPLES], GENRE_OF, genres[:REPEATED_TRIPLES]),
    ]
    return np.concatenate([
        np.stack([heads, np.full(len(heads), relation), tails], axis=1)
        for heads, relation, tails in blocks
    ])


def write_tiny(output: Path, configurations: Path) -> Outcome:
    """Write ``<output>/tiny`` and ``<configurations>/tiny.yaml``."""
    request = Request("synthetic", Path(__file__), "tiny", output, configurations, overwrite=True)
    return write_dataset(tiny(), request, sha256={})


def main(argv: Sequence[str]) -> int:
    """Write the set below the current folder, or below the one named."""
    root = Path(argv[0]) if argv else Path()
    print(write_tiny(root / "atomic_data", root / "configs" / "datasets").folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
