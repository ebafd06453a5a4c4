"""KGAT's format: ``train.txt``, ``test.txt``, ``kg_final.txt``, if any ``valid.txt`` and lists."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffkg_recbole.errors import DataError

from .integer_text import parse_integers, parse_triples
from .knowledge_data import KnowledgeData, distinct_pairs
from .names import NameLists, list_file, read_names
from .progress import Step, no_step
from .sources import SourceFolder

TRAIN, VALID, TEST, GRAPH = "train.txt", "valid.txt", "test.txt", "kg_final.txt"
FOLDER = f"KGAT's format ({TRAIN}, {TEST}, {GRAPH}, optional {VALID} and *_list.txt)"


@dataclass(frozen=True)
class _UserLines:
    """Pairs of a ``user item item ...`` file, and where each stands."""

    path: Path
    line_users: np.ndarray  # (lines,) user of every line
    user_lines: np.ndarray  # (lines,) its line number
    users: np.ndarray  # (n,)
    items: np.ndarray  # (n,)
    lines: np.ndarray  # (n,) line number of each pair


def read_kgat(
    folder: SourceFolder, name: str, step: Step = no_step,
    n_users: int | None = None, n_items: int | None = None,
) -> KnowledgeData:
    """Read a folder in KGAT's format.

    The format does not state the size of the matrix. The item count is ``n_items``, or what
    ``item_list.txt`` counts, or the highest item of ``train.txt`` + 1: ids from there on belong
    to other entities, so a higher item in ``test.txt`` is refused rather than guessed at. The
    user count is ``n_users``, or what ``user_list.txt`` counts, or the highest user + 1. A list
    that cannot be read stops only where its count is asked for.

    Raises:
        DataError: a file is missing, malformed or without a pair or triple, or an id lies
            outside its range.
    """
    parts = {}
    for file in (TRAIN, *([VALID] if folder.has(VALID) else []), TEST):
        step(f"reading {file}")
        content = folder.read(file, f"'user item item ...' lines, part of {FOLDER}")
        parts[file] = _read_user_lines(content, folder.path / file)
    step(f"reading {GRAPH}")
    expected = f"'head relation tail' lines, part of {FOLDER}"
    triples = parse_triples(folder.read(GRAPH, expected), folder.path / GRAPH)
    lists = read_names(folder)
    items, items_from = _size(n_items, lists, "item", parts[TRAIN].items, f"{TRAIN} gives")
    everyone = np.concatenate([part.line_users for part in parts.values()])
    users, users_from = _size(n_users, lists, "user", everyone, "the files give")
    for part in parts.values():
        _check_range(part.path, "user", part.line_users, part.user_lines, users, users_from)
        _check_range(part.path, "item", part.items, part.lines, items, items_from)
    step("collapsing repeated pairs")
    pairs, repeated = {}, {}
    for file, part in parts.items():
        pairs[file], repeated[file] = distinct_pairs(part.users, part.items, items)
    train, divided = pairs[TRAIN], None
    if VALID in pairs:
        divided = (pairs[TRAIN], pairs[VALID])
        both = np.concatenate(divided)
        train, _ = distinct_pairs(both[:, 0], both[:, 1], items)
    return KnowledgeData(
        name, users, items, train, pairs[TEST], triples,
        duplicates={"train": repeated[TRAIN] + repeated.get(VALID, 0), "test": repeated[TEST]},
        names=lists.names, listed_entities=lists.sizes.get("entity", 0), parts=divided,
        notices=lists.notices,
    )


def _read_user_lines(content: bytes, path: Path) -> _UserLines:
    numbers = parse_integers(content, path)
    first = numbers.first_of_line()
    if first.all():
        raise DataError(path, "holds no interaction", "lines 'user item item ...'")
    line_users = numbers.values[first]
    users = line_users[np.cumsum(first) - 1]
    return _UserLines(
        path, line_users, numbers.lines[first],
        users[~first], numbers.values[~first], numbers.lines[~first],
    )


def _size(
    given: int | None, lists: NameLists, kind: str, ids: np.ndarray, origin: str
) -> tuple[int, str]:
    """Size of an id space and, for messages, where it comes from."""
    if given is not None:
        return given, f"--{kind}s gives"
    if kind in lists.problems:
        raise lists.problems[kind]
    if kind in lists.sizes:
        return lists.sizes[kind], f"{list_file(kind)} gives"
    return int(ids.max()) + 1, origin


def _check_range(
    path: Path, kind: str, ids: np.ndarray, lines: np.ndarray, size: int, origin: str
) -> None:
    outside = np.flatnonzero(ids >= size)
    if len(outside):
        place = outside[0]
        way_out = f" (or the right count with --{kind}s)"
        raise DataError(
            path, f"{kind} {ids[place]} lies beyond the {size} {kind}s that {origin}",
            f"{kind} ids from 0 to {size - 1}{way_out}", int(lines[place]),
        )
