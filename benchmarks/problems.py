"""Data to measure on: real where the files are there, else generated with the same sizes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from converters.authors import read_authors
from converters.convert import Outcome, Request, convert, write_dataset
from converters.knowledge_data import KnowledgeData, distinct_pairs
from converters.sources import SourceFolder
from diffkg_recbole.model.graph import KnowledgeGraph


@dataclass(frozen=True)
class Sizes:
    """Counts of a data set.

    Attributes:
        users, items, train, test: of the interactions.
        entities, relations, triples: of the graph; the entities include the items.
        folder: name of the real data's folder, in the authors' format.
    """

    users: int
    items: int
    train: int
    test: int
    entities: int
    relations: int
    triples: int
    folder: str = ""


SIZES = {
    "movie": Sizes(6036, 2347, 301_509, 75_377, 6729, 7, 20_195, "movie"),
    "last-fm": Sizes(23_566, 48_123, 1_119_221, 423_635, 106_389, 9, 464_567, "lastfm_clean"),
    "mind": Sizes(100_000, 30_577, 1_025_247, 202_696, 49_545, 512, 148_568, "mind_partial"),
    "alibaba": Sizes(114_737, 30_040, 1_380_510, 400_583, 89_196, 51, 279_155, "alibaba"),
}


@dataclass(frozen=True, eq=False)
class Problem:
    """What the model needs of a data set, in compact ids (users, entities, relations from 0)."""

    name: str
    n_users: int
    n_items: int
    graph: KnowledgeGraph
    user: Tensor
    item: Tensor

    @classmethod
    def of(cls, data: KnowledgeData) -> Problem:
        """The training part and the graph of a data set."""
        n_relations = int(data.triples[:, 1].max()) + 1
        graph = KnowledgeGraph.from_triples(data.triples, data.n_entities, n_relations)
        user, item = torch.from_numpy(data.train).T.contiguous()
        return cls(data.name, data.n_users, data.n_items, graph, user, item)


def is_real(name: str, source: Path) -> bool:
    """Whether the real files of a data set are there."""
    return (source / SIZES[name].folder / "trnMat.pkl").is_file()


def load(name: str, source: Path) -> Problem:
    """A data set by name, real or generated."""
    if is_real(name, source):
        return Problem.of(read_authors(SourceFolder(source / SIZES[name].folder), name))
    return Problem.of(generate(name, SIZES[name]))


def write_atomic_files(name: str, source: Path, folder: Path) -> Outcome:
    """Convert (or generate) a data set into ``folder/<name>``."""
    path = source / SIZES[name].folder
    request = Request("authors", path, name, folder, folder / "configurations")
    if is_real(name, source):
        return convert(request)
    return write_dataset(generate(name, SIZES[name]), request, sha256={})


# ---- generated data ---------------------------------------------------------------------------


def generate(name: str, sizes: Sizes, seed: int = 0) -> KnowledgeData:
    """Random data of given sizes, with the degree shape of the real sets.

    Users' numbers of interactions are log-normal, items are taken in proportion to a power of
    their rank. Heads have about equal numbers of triples; the entities behind the items are the
    tails, each at least once where there are triples enough, a few of them very often; one
    relation holds half of the triples.
    """
    random = np.random.default_rng(seed)
    pairs = _pairs(random, sizes)
    to_test = random.random(len(pairs)) < sizes.test / (sizes.train + sizes.test)
    triples = _triples(random, sizes)
    return KnowledgeData(
        name, sizes.users, sizes.items, pairs[~to_test], pairs[to_test], triples,
        listed_entities=sizes.entities,
    )


def _pairs(random: np.random.Generator, sizes: Sizes) -> np.ndarray:
    """As many distinct pairs as wanted (fewer where users × items hardly hold them), (n, 2)."""
    wanted = sizes.train + sizes.test
    activity = random.lognormal(0.0, 1.0, sizes.users)
    pairs = np.empty((0, 2), np.int64)
    for _ in range(50):
        missing = wanted - len(pairs)
        if missing <= 0:
            break
        users = random.choice(sizes.users, 2 * missing, p=activity / activity.sum())
        items = _by_rank(random, sizes.items, len(users), 0.7)
        users, items = np.r_[pairs[:, 0], users], np.r_[pairs[:, 1], items]
        pairs = distinct_pairs(users, items, sizes.items)[0]
    return pairs[np.sort(random.permutation(len(pairs))[:wanted])]


def _triples(random: np.random.Generator, sizes: Sizes) -> np.ndarray:
    others = sizes.entities - sizes.items
    once = sizes.items + random.permutation(others)[: sizes.triples]
    often = sizes.items + _by_rank(random, others, sizes.triples - len(once), 0.9)
    tail = np.concatenate([once, often])
    head = random.integers(sizes.entities, size=sizes.triples)
    head = np.where(head == tail, random.integers(sizes.items, size=sizes.triples), head)
    relation = _by_rank(random, sizes.relations, sizes.triples, 1.0)
    relation[: sizes.relations] = np.arange(sizes.relations)[: sizes.triples]
    return np.stack([head, relation, tail], axis=1)


def _by_rank(random: np.random.Generator, n: int, count: int, power: float) -> np.ndarray:
    """``count`` numbers of 0..n-1, the r-th in a random order with weight (r + 10)^-power."""
    weight = (np.arange(n) + 10.0) ** -power
    return random.permutation(n)[random.choice(n, count, p=weight / weight.sum())]
