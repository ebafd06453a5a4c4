"""Words and names as every message and output writes them."""

from __future__ import annotations

import codecs
import difflib
import unicodedata
from collections.abc import Iterable
from typing import Any

from diffkg_recbole.errors import UserError, surrogate_escaped

_METRIC_NAMES = {"recall": "Recall", "ndcg": "NDCG", "hit": "Hit", "mrr": "MRR", "map": "MAP",
                 "precision": "Precision", "gauc": "GAUC", "itemcoverage": "ItemCoverage",
                 "giniindex": "GiniIndex", "shannonentropy": "ShannonEntropy",
                 "averagepopularity": "AveragePopularity", "tailpercentage": "TailPercentage"}
_LONGEST_NAME = 200  # file systems allow 255; the rest is for endings such as .train.inter

ASCII_FORM = "diffkg-recbole-ascii"
"""Error handler of streams whose encoding lacks a character: ``±`` is written ``+-``."""
_ASCII = {"±": "+-", "–": "-", "—": "-", "…": "...", "×": "x", "−": "-", "·": "*", "≤": "<=",
          "≥": ">=", "→": "->", "’": "'", "“": '"', "”": '"'}


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start:error.end]
    return "".join(_ASCII.get(letter, surrogate_escaped(letter) if "\ud800" <= letter <= "\udfff"
                              else "?") for letter in letters), error.end


codecs.register_error(ASCII_FORM, _in_ascii)


def one_line(value: object) -> str:
    """Any text on one line without control characters, which could steer a terminal."""
    visible = "".join(" " if unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp") else letter
                      for letter in str(value))
    return surrogate_escaped(" ".join(visible.split()))


def metric_name(metric: str) -> str:
    """``recall@20`` as people write it: ``Recall@20``."""
    name, _, cutoff = metric.partition("@")
    name = _METRIC_NAMES.get(name.lower(), name)
    return f"{name}@{cutoff}" if cutoff else name


def near_names(name: str, known: Iterable[str]) -> str:
    """`` (did you mean ...?)`` for a misspelt name, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=3)
    return f" (did you mean {' or '.join(repr(n) for n in near)}?)" if near else ""


def flag_text(value: Any) -> str:
    """A value as ``--key=value`` holds it: what the command line reads back as the same."""
    if value is None:
        return "null"
    if not isinstance(value, str) or surrogate_escaped(value) != value:
        return ascii(value)  # a lone surrogate is no word of a command line
    return value


def checked_dataset_name(name: str) -> str:
    """``name``, if a folder and its files can bear it on every system and under every path.

    Raises:
        UserError: it is empty, ``.`` or ``..``, holds a path or control characters, or is longer
            than a file name may be.
    """
    problem = None
    if name.strip() in ("", ".", ".."):
        problem = "names no folder"
    elif "/" in name or "\\" in name:
        problem = "is a path; name its folder with --data_path"
    elif any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") for letter in name):
        problem = "holds control characters"
    elif len(name.encode()) > _LONGEST_NAME:
        problem = f"has more than {_LONGEST_NAME} bytes"
    if problem is not None:
        shown = name if len(name) <= 60 else f"{name[:60]}..."
        raise UserError(f"data set name {shown!r} {problem}; expected the name of a folder")
    return name
