"""Reading atomic files (RecBole's tab-separated text with typed column names)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from recbole.utils import FeatureType

from diffkg_recbole.errors import DataError


def _header(path: Path, separator: str, encoding: str) -> dict[str, FeatureType]:
    try:
        with path.open(encoding=encoding) as file:
            head = file.readline().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(path, f"is not {encoding} text ({error})", line=1) from None
    columns = {}
    for word in head.split(separator):
        name, _, kind = word.partition(":")
        try:
            columns[name] = FeatureType(kind)
        except ValueError:
            raise DataError(
                path, f"column '{word}' has no known type",
                "name:token, name:float, name:token_seq or name:float_seq", line=1,
            ) from None
    return columns


def read_atomic(
    path: str | Path,
    load: set[str] | None,
    unload: set[str] | None,
    separator: str = "\t",
    encoding: str = "utf-8",
) -> tuple[pd.DataFrame | None, dict[str, FeatureType]]:
    """Read the plain (token and float) columns of an atomic file.

    Args:
        load: columns to load; None = all.
        unload: columns to leave out.

    Returns:
        frame with ``str`` objects in token columns and float64 in float columns, or None where a
        wanted column is a sequence; and the types of the wanted columns.

    Raises:
        DataError: malformed header or line.
    """
    path = Path(path)
    columns = _header(path, separator, encoding)
    wanted = {
        name: kind for name, kind in columns.items()
        if (load is None or name in load) and (unload is None or name not in unload)
    }
    plain = all(kind in (FeatureType.TOKEN, FeatureType.FLOAT) for kind in wanted.values())
    if not plain or not wanted:
        return None, wanted
    names = list(columns)
    expected = f"{len(names)} columns: {', '.join(names)}"
    types = {n: np.float64 if k == FeatureType.FLOAT else str for n, k in wanted.items()}
    try:
        frame = pd.read_csv(
            path, sep=separator, header=None, skiprows=1, names=names, usecols=list(wanted),
            dtype=types, encoding=encoding, engine="c", quoting=3, keep_default_na=False,
            na_values=[""], index_col=False,
        )
    except (ValueError, pd.errors.ParserError) as error:
        line, problem = _find_bad_line(path, columns, separator, encoding)
        raise DataError(path, problem or str(error), expected, line=line) from None
    if frame[list(wanted)[-1]].isna().any():  # an empty value, or a line that is too short
        line, problem = _find_bad_line(path, columns, separator, encoding)
        if problem:
            raise DataError(path, problem, expected, line=line)
    return frame[list(wanted)], wanted


def _find_bad_line(
    path: Path, columns: dict[str, FeatureType], separator: str, encoding: str
) -> tuple[int | None, str | None]:
    """First line that does not fit the header (only looked for once reading has failed)."""
    with path.open(encoding=encoding) as file:
        next(file)
        for number, text in enumerate(file, start=2):
            words = text.rstrip("\r\n").split(separator)
            if len(words) != len(columns):
                return number, f"has {len(words)} columns"
            for word, (name, kind) in zip(words, columns.items()):
                if kind == FeatureType.FLOAT and word:
                    try:
                        float(word)
                    except ValueError:
                        return number, f"column '{name}' holds '{word}', which is no number"
    return None, None
