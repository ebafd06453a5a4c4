"""Reading any RecBole knowledge data set back into the neutral form."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from diffkg_recbole.errors import DataError

from .identifiers import Vocabularies, number_tokens
from .knowledge_data import KnowledgeData, distinct_pairs
from .names import read_names
from .progress import Step, no_step
from .sources import SourceFolder
from .split import cut_per_user

EXPECTED = ("a RecBole knowledge data set: <name>.kg, <name>.link, and <name>.inter or "
            "<name>.train.inter, <name>.test.inter")
_NAME_OF = {"inter": "interaction", "item": "item", "user": "user", "kg": "graph", "link": "link"}


@dataclass(frozen=True)
class Fields:
    """Column names; RecBole's defaults."""

    user: str = "user_id"
    item: str = "item_id"
    head: str = "head_id"
    relation: str = "relation_id"
    tail: str = "tail_id"
    entity: str = "entity_id"


@dataclass(frozen=True)
class ReadBack:
    """A data set read from atomic files.

    Attributes:
        data: the neutral form; a validation part is part of ``train`` again.
        exact: whether the files' tokens are the ids (else they were numbered anew, and
            ``data.names`` says how).
        parts: the interaction files that were read.
        cut: whether test was cut here because the files have one undivided ``.inter``.
        notices: what had to be left out, in words.
    """

    data: KnowledgeData
    exact: bool
    parts: tuple[str, ...]
    cut: bool
    notices: list[str] = field(default_factory=list)


def find_name(folder: SourceFolder) -> str:
    """Name of the data set in a folder: that of its ``.kg`` file.

    Raises:
        DataError: none, or several of which none is named like the folder.
    """
    names = sorted(path.stem for path in folder.path.glob("*.kg"))
    own = folder.path.resolve().name
    if own in names or len(names) == 1:
        return own if own in names else names[0]
    problem = f"holds several graphs ({', '.join(names)})" if names else "holds no .kg file"
    raise DataError(folder.path, problem, EXPECTED)


def read_atomic(
    folder: SourceFolder, fields: Fields | None = None, parts: Sequence[str] | None = None,
    test_fraction: float = 0.2, split_seed: int = 2020, step: Step = no_step,
) -> ReadBack:
    """Read a RecBole knowledge data set.

    Args:
        folder: folder of the atomic files.
        fields: column names.
        parts: names of the interaction files' parts, the last one the test part; None = the
            undivided ``.inter`` if there is one, else train, valid (if there) and test.
        test_fraction: share of each user's pairs that becomes test where the file is undivided.
        split_seed: draws that share.
        step: told what is being done.

    Raises:
        DataError: a file or column is missing, a line does not fit, or a part is empty.
    """
    fields, name = fields or Fields(), find_name(folder)
    chosen = _choose_parts(folder, name, parts)
    tables = []
    for part in chosen:
        step(f"reading {part}")
        tables.append(_read_table(folder, part, [fields.user, fields.item]))
    step("reading the graph")
    triples = _read_table(folder, f"{name}.kg", [fields.head, fields.relation, fields.tail])
    links = _read_table(folder, f"{name}.link", [fields.item, fields.entity])
    users = _optional_tokens(folder, f"{name}.user", fields.user)
    items = _optional_tokens(folder, f"{name}.item", fields.item)
    step("numbering users, items and entities")
    pairs = pd.concat(tables, ignore_index=True)
    ids = number_tokens(pairs, users, items, triples, links)
    numbered = np.stack([ids.user_ids, ids.item_ids], axis=1)
    lengths = [len(table) for table in tables]
    train, test, repeated, cut = _divide(numbered, lengths, ids, test_fraction, split_seed)
    for kind, found in (("training", train), ("test", test)):
        if not len(found):
            raise DataError(folder.path, f"gives no {kind} pair", "at least one")
    names = ids.names if not ids.exact else read_names(folder).names
    data = KnowledgeData(name, ids.n_users, ids.n_items, train, test, ids.triples,
                         duplicates=repeated, names=names)
    return ReadBack(data, ids.exact, tuple(chosen), cut, ids.notices)


def _choose_parts(folder: SourceFolder, name: str, parts: Sequence[str] | None) -> list[str]:
    if parts:
        return [f"{name}.{part}.inter" for part in parts]
    if folder.has(f"{name}.inter"):
        return [f"{name}.inter"]
    files = [f"{name}.{part}.inter" for part in ("train", "valid", "test")]
    return [file for file in files if folder.has(file) or "valid" not in file.split(".")[-2]]


def _divide(
    pairs: np.ndarray, lengths: list[int], ids: Vocabularies, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray, dict[str, int], bool]:
    """Train, test, repeated pairs by part, and whether test was cut here."""
    if len(lengths) == 1:
        distinct, repeated = distinct_pairs(pairs[:, 0], pairs[:, 1], ids.n_items)
        train, test = cut_per_user(distinct, ids.n_users, fraction, seed)
        return train, test, {"train": repeated, "test": 0}, True
    before_test = sum(lengths[:-1])
    users, items = pairs.T
    train, train_repeated = distinct_pairs(users[:before_test], items[:before_test], ids.n_items)
    test, test_repeated = distinct_pairs(users[before_test:], items[before_test:], ids.n_items)
    return train, test, {"train": train_repeated, "test": test_repeated}, False


def _optional_tokens(folder: SourceFolder, file: str, column: str) -> pd.Series | None:
    return _read_table(folder, file, [column])[column] if folder.has(file) else None


def _read_table(folder: SourceFolder, file: str, columns: list[str]) -> pd.DataFrame:
    """Wanted columns of an atomic file as text, in the order asked for.

    Raises:
        DataError: the file or a column is missing, or a line does not fit the header or lacks a
            value; the message names the line.
    """
    path = folder.path / file
    kind = _NAME_OF[file.split(".")[-1]]
    content = folder.read(file, f"the {kind} file of {EXPECTED}").replace(b"\r\n", b"\n")
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[:error.start].count(b"\n") + 1
        raise DataError(path, "is not UTF-8 text", "a tab-separated text file", line) from None
    header = content.split(b"\n", 1)[0].decode("utf-8-sig").split("\t")
    names = [word.split(":")[0] for word in header]
    for word in names:
        if names.count(word) > 1:
            raise DataError(path, f"column '{word}' stands twice", "each column once", 1)
    for column in columns:
        if column not in names:
            raise DataError(path, f"has the columns {', '.join(header)}",
                            f"a column '{column}:token'", 1)
    lines = _lines_with_content(content, len(names), path)
    # One empty field per line is NaN, a token "NA" is a token.
    table = pd.read_csv(
        io.BytesIO(content), sep="\t", header=None, skiprows=1, names=names, usecols=columns,
        dtype=str, quoting=csv.QUOTE_NONE, keep_default_na=False, na_values=[""], index_col=False,
        encoding="utf-8",
    )[columns]
    empty = table.isna().any(axis=1).to_numpy()
    if empty.any():
        raise DataError(path, "lacks a value", f"a value for {', '.join(columns)}",
                        int(lines[empty.argmax()]))
    return table


def _lines_with_content(content: bytes, n_columns: int, path: Path) -> np.ndarray:
    """Numbers of the lines below the header that are not blank, each checked for its tabs."""
    text = np.frombuffer(content, dtype=np.uint8)
    ends = np.flatnonzero(text == ord("\n"))
    if not len(ends) or ends[-1] != len(text) - 1:
        ends = np.r_[ends, len(text)]
    tabs = np.diff(np.searchsorted(np.flatnonzero(text == ord("\t")), ends), prepend=0)
    lengths = np.diff(ends, prepend=-1) - 1
    lines = np.flatnonzero(lengths > 0)[1:]  # the header is the first
    wrong = lines[tabs[lines] != n_columns - 1]
    if len(wrong):
        raise DataError(path, f"has {tabs[wrong[0]] + 1} columns", f"{n_columns} as the header",
                        int(wrong[0]) + 1)
    return lines + 1
