"""Published numbers, kept apart from measured ones: own columns, with their source and doubts."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

METRICS = ("recall@20", "ndcg@20")
"""What the two numbers of an entry are."""


@dataclass(frozen=True)
class PublicDataset:
    """How a data set of the literature is recognised: by its name and by its size.

    The name alone is not enough: several different sets are called "lastfm".
    """

    key: str
    stems: tuple[str, ...]
    users: int
    items: int


_DATASETS = (
    PublicDataset("last-fm", ("lastfm",), 23_566, 48_123),
    PublicDataset("mind", ("mind",), 100_000, 30_577),
    PublicDataset("alibaba", ("alibaba",), 114_737, 30_040),
)


@dataclass(frozen=True)
class PublishedColumn:
    """The numbers of one source for one data set.

    Args:
        source: where the numbers were published.
        protocol: the protocol they come from, in this package's names.
        doubts: what speaks against taking them at face value.
        values: model name -> metric name -> value.
    """

    source: str
    protocol: str
    doubts: tuple[str, ...]
    values: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Published:
    """Everything published for the data set of one section.

    Args:
        columns: one entry a source; empty where nothing is known or the data differ.
        cautions: why the numbers are not directly comparable with the measured ones.
    """

    columns: tuple[PublishedColumn, ...] = ()
    cautions: tuple[str, ...] = ()


@functools.lru_cache(maxsize=1)
def load_published() -> tuple[Mapping[str, Any], ...]:
    """The shipped table, one mapping a source."""
    text = resources.files(__package__).joinpath("published_results.yaml").read_text("utf-8")
    return tuple(yaml.safe_load(text))


def _recognise(dataset: str) -> PublicDataset | None:
    name = dataset.lower().replace("-", "").replace("_", "")
    for known in _DATASETS:
        if name.startswith(known.stems):
            return known
    return None


def published_for(dataset: str, protocol: str, counts: Mapping[str, int]) -> Published:
    """What was published for a data set, with the reasons for doubt.

    Args:
        dataset: name of the data set in the runs.
        protocol: protocol of the runs.
        counts: ``users`` and ``items`` of the runs' data; published numbers are shown only
            where both equal those of the public set.
    """
    known = _recognise(dataset)
    if known is None:
        return Published()
    size = f"{known.users:,} users and {known.items:,} items"
    if (counts.get("users"), counts.get("items")) != (known.users, known.items):
        return Published(cautions=(
            f"Numbers are published for a set called {known.key} with {size}; "
            f"this one is of another size, so they are not shown.",))
    columns = tuple(
        PublishedColumn(entry["source"], entry["protocol"], tuple(entry.get("doubts", ())),
                        {model: dict(zip(METRICS, pair))
                         for model, pair in entry[known.key].items()})
        for entry in load_published() if known.key in entry)
    return Published(columns, tuple(_cautions(dataset, protocol, known, columns)))


def _cautions(
    dataset: str, protocol: str, known: PublicDataset, columns: tuple[PublishedColumn, ...]
) -> list[str]:
    cautions = []
    if dataset.lower() != known.key:
        cautions.append(f"Published on {known.key}; the runs here used data called {dataset}, "
                        "whose training and test pairs may differ.")
    others = sorted({column.protocol for column in columns} - {protocol})
    if others:
        cautions.append(f"The runs here follow the protocol '{protocol}', some published numbers "
                        f"'{', '.join(others)}': differences are not differences between models.")
    return cautions
