"""Reading atomic files (RecBole's separated text with typed column names)."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from recbole.utils import FeatureType

from diffkg_recbole.data.atomic_text import AtomicText, read_text
from diffkg_recbole.errors import DataError
from diffkg_recbole.text import near_names, one_line

TOKEN, FLOAT = FeatureType.TOKEN, FeatureType.FLOAT
TOKEN_SEQ, FLOAT_SEQ = FeatureType.TOKEN_SEQ, FeatureType.FLOAT_SEQ
MAX_TOKEN_BYTES = 64 * 1024
# Names that RecBole gives to the padding and to the relation between users and items.
RESERVED = ("[PAD]", "[UI-Relation]")
_TYPES = "name:token, name:float, name:token_seq or name:float_seq"


@dataclass(frozen=True)
class Wanted:
    """What is read of a file.

    Attributes:
        load: columns to load; None = all.
        unload: columns to leave out.
        ids: columns that must be there, as tokens, without an empty field.
    """

    load: Collection[str] | None = None
    unload: Collection[str] | None = None
    ids: tuple[str, ...] = ()


def read_atomic(
    path: str | Path, wanted: Wanted, separator: str = "\t", encoding: str = "utf-8",
    seq_separator: str = " ",
) -> tuple[pd.DataFrame, dict[str, FeatureType]]:
    """Read an atomic file; whatever does not fit its header is refused.

    Args:
        path: the file.
        wanted: columns to read.
        separator, encoding, seq_separator: RecBole's keys ``field_separator``, ``encoding``,
            ``seq_separator``.

    Returns:
        frame with ``str`` objects in token columns, float64 in float columns and arrays in
        columns of sequences; an empty field outside the ids is NaN (an empty sequence). And the
        types of its columns.

    Raises:
        DataError: naming the line and the field.
    """
    text = read_text(Path(path), separator, encoding)
    columns = _columns(text)
    _check_columns(text, columns, wanted)
    types = {
        name: kind for name, kind in columns.items()
        if (wanted.load is None or name in wanted.load)
        and (wanted.unload is None or name not in wanted.unload)
    }
    _check_fields(text, list(columns), types, wanted.ids)
    frame = _parse(text, list(columns), types)
    for name, kind in types.items():
        if kind in (TOKEN_SEQ, FLOAT_SEQ):
            frame[name] = pd.Series(_sequences(text, frame[name], kind, seq_separator),
                                    index=frame.index, dtype=object)
    _check_reserved(text, frame, types)
    return frame, types


def _columns(text: AtomicText) -> dict[str, FeatureType]:
    columns: dict[str, FeatureType] = {}
    for word in text.header:
        name, _, kind = word.partition(":")
        try:
            known = FeatureType(kind)
        except ValueError:
            known = None
        if known is None or not name:
            raise DataError(text.path, f"column '{one_line(word)[:80]}' has no known type",
                            _TYPES, line=1)
        if name in columns:
            raise DataError(text.path, f"column '{name}' stands twice", "each column once", 1)
        columns[name] = known
    return columns


def _check_columns(
    text: AtomicText, columns: Mapping[str, FeatureType], wanted: Wanted
) -> None:
    """The columns that are needed or asked for are there, the ids as tokens."""
    for name in wanted.ids:
        if name in columns and columns[name] != TOKEN:
            raise DataError(text.path, f"column '{name}' has type {columns[name].value}",
                            f"{name}:token", line=1)
    asked = [*wanted.ids, *sorted(set(wanted.load or ()) - set(wanted.ids))]
    for name in asked:
        if name not in columns:
            raise DataError(
                text.path, f"has no column '{name}'{near_names(name, columns)}, but "
                f"{one_line(', '.join(text.header))}",
                " and ".join(f"{n}:token" for n in wanted.ids) if name in wanted.ids
                else "the columns that load_col names", line=1)
    for name in wanted.ids:
        if (wanted.load is not None and name not in wanted.load) or name in (wanted.unload or ()):
            raise DataError(text.path, f"column '{name}' is not loaded",
                            "load_col and unload_col that keep it")


def _check_fields(
    text: AtomicText, columns: list[str], types: Mapping[str, FeatureType], ids: tuple[str, ...]
) -> None:
    """No id is empty, and no token longer than :data:`MAX_TOKEN_BYTES`."""
    empty = {name: text.empty(columns.index(name)) for name in ids}
    rows = np.unique(np.concatenate([np.empty(0, np.int64), *empty.values()]))
    if len(rows):
        where = [f"'{name}' (line {', '.join(map(str, text.line_numbers(at[:5])))})"
                 for name, at in empty.items() if len(at)]
        more = f" ({len(rows)} such lines)" if len(rows) > 5 else ""
        raise text.error(rows, f"empty field {' and '.join(where)}{more}", "a token")
    for name, kind in types.items():
        length = text.lengths[:, columns.index(name)]
        if kind in (TOKEN, FLOAT) and length.max(initial=0) > MAX_TOKEN_BYTES:
            raise text.error(np.flatnonzero(length > MAX_TOKEN_BYTES),
                             f"field '{name}' holds {length.max()} bytes",
                             f"at most {MAX_TOKEN_BYTES} bytes")


def _parse(
    text: AtomicText, columns: list[str], types: Mapping[str, FeatureType]
) -> pd.DataFrame:
    """The wanted columns, sequences still as text."""
    def read(kinds: Mapping[str, Any]) -> pd.DataFrame:
        return pd.read_csv(
            io.BytesIO(text.content), sep=text.separator, header=None, skiprows=1, names=columns,
            usecols=list(kinds), dtype=dict(kinds), encoding="utf-8", engine="c", quoting=3,
            keep_default_na=False, na_values=[""], index_col=False, skip_blank_lines=False,
        )[list(kinds)]

    try:
        frame = read({n: np.float64 if k == FLOAT else str for n, k in types.items()})
    except ValueError:
        frame = None  # some float is none
    for name in (name for name, kind in types.items() if kind == FLOAT):
        if frame is None:
            words = read({name: str})[name]
            numbers = pd.to_numeric(words, errors="coerce").to_numpy(np.float64)
        else:
            numbers = frame[name].to_numpy()
        if np.isfinite(numbers).all():
            continue
        empty = text.lengths[:, columns.index(name)] == 0
        bad = np.flatnonzero(~np.isfinite(numbers) & ~empty)
        if len(bad):
            word = read({name: str})[name].iloc[bad[0]]
            raise text.error(bad, f"field '{name}' holds '{one_line(word)[:80]}'",
                             "a finite number")
    if frame is None:  # a column that pandas reads as no number, yet each of its words is one
        raise DataError(text.path, "cannot be parsed", "numbers in the float columns")
    return frame


def _sequences(
    text: AtomicText, column: pd.Series, kind: FeatureType, separator: str
) -> list[np.ndarray]:
    """Each field's words as an array."""
    values = []
    for row, field in enumerate(column.fillna("")):
        words = [word for word in field.split(separator) if word]
        if kind == TOKEN_SEQ:
            if len(field) > MAX_TOKEN_BYTES // 4 and any(
                    len(word.encode()) > MAX_TOKEN_BYTES for word in words):
                raise text.error(np.array([row]), f"field '{column.name}' holds a longer token",
                                 f"tokens of at most {MAX_TOKEN_BYTES} bytes")
            values.append(np.array(words, dtype=str))
            continue
        try:
            numbers = np.array(words, dtype=np.float64)
        except ValueError:
            numbers = np.array([np.nan])
        if not np.isfinite(numbers).all():
            raise text.error(np.array([row]), f"field '{column.name}' holds "
                             f"'{one_line(field)[:80]}'", "finite numbers")
        values.append(numbers)
    return values


def _check_reserved(
    text: AtomicText, frame: pd.DataFrame, types: Mapping[str, FeatureType]
) -> None:
    """No token has a name that RecBole gives away itself."""
    for word in (word for word in RESERVED if word.encode() in text.content):
        for name, kind in types.items():
            if kind == TOKEN:
                found = (frame[name] == word).to_numpy()
            elif kind == TOKEN_SEQ:
                found = np.array([word in field for field in frame[name]])
            else:
                continue
            if found.any():
                raise text.error(np.flatnonzero(found), f"field '{name}' holds {word}",
                                 "another name: RecBole uses this one itself")
