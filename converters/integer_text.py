"""Text files of non-negative integers: read fast, and every number knows its line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffkg_recbole.errors import DataError

ID_LIMIT = 2**31 - 1
_SPACES = np.frombuffer(b" \t\r\n\v\f", dtype=np.uint8)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MOST_DIGITS = len(str(ID_LIMIT))


@dataclass(frozen=True)
class IntegerLines:
    """The numbers of a text file in reading order.

    Attributes:
        values: (n,) int64.
        lines: (n,) int64, the 1-based line of each number, ascending.
    """

    values: np.ndarray
    lines: np.ndarray

    def first_of_line(self) -> np.ndarray:
        """(n,) bool: True where a number is the first of its line."""
        return np.r_[True, self.lines[1:] != self.lines[:-1]] if len(self.lines) else self.lines > 0


def parse_integers(content: bytes, path: Path) -> IntegerLines:
    """Numbers of a text file, separated by any white space; blank lines hold none.

    The whole file is handled as an array of bytes: no Python loop over lines or words.

    Args:
        content: the file's bytes.
        path: named in messages.

    Raises:
        DataError: a word is no integer, is negative, or is ``ID_LIMIT`` or more; the message
            names its line.
    """
    text = np.frombuffer(content, dtype=np.uint8)
    if content.startswith(_BYTE_ORDER_MARK):
        text = text[len(_BYTE_ORDER_MARK):]
    table = np.zeros(256, dtype=bool)
    table[_SPACES] = True
    space = table[text]
    digit = (text >= ord("0")) & (text <= ord("9"))
    wrong = np.flatnonzero(~(space | digit))
    if len(wrong):
        _refuse_word(text, space, int(wrong[0]), path)
    starts = np.flatnonzero(digit & np.r_[True, space[:-1]])
    ends = np.flatnonzero(digit & np.r_[space[1:], True]) + 1
    lines = np.searchsorted(np.flatnonzero(text == ord("\n")), starts) + 1
    values = _decimal_values(text, starts, ends - starts)
    large = np.flatnonzero(values >= ID_LIMIT)
    if len(large):
        _refuse_word(text, space, int(starts[large[0]]), path)
    return IntegerLines(values, lines)


def _decimal_values(text: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Values of the digit runs; one pass per digit position, at most eleven."""
    values = np.zeros(len(starts), dtype=np.int64)
    longest = int(lengths.max(initial=0))
    for position in range(min(longest, _MOST_DIGITS + 1)):
        here = lengths > position
        values[here] = values[here] * 10 + (text[starts[here] + position] - ord("0"))
    values[lengths > _MOST_DIGITS] = ID_LIMIT  # too large, whatever the digits
    return values


def _refuse_word(text: np.ndarray, space: np.ndarray, position: int, path: Path) -> None:
    """Raise for the word around a byte position."""
    before = np.flatnonzero(space[:position])
    start = int(before[-1]) + 1 if len(before) else 0
    after = np.flatnonzero(space[position:position + 200])
    end = position + (int(after[0]) if len(after) else 200)
    word = text[start:end].tobytes().decode("utf-8", errors="replace")
    line = int(np.count_nonzero(text[:position] == ord("\n"))) + 1
    shown = word if len(word) <= 40 else word[:40] + "..."
    if re.fullmatch(r"-[0-9]+", word):
        raise DataError(path, f"negative id {shown}", "ids from 0 upwards", line)
    if re.fullmatch(r"[0-9]+", word):
        raise DataError(path, f"id {shown} is too large", f"ids below {ID_LIMIT}", line)
    raise DataError(path, f"{shown!r} is not an integer", "integers separated by white space", line)


def parse_triples(content: bytes, path: Path) -> np.ndarray:
    """Triples of a knowledge graph file.

    Returns:
        (m, 3) int64: head, relation, tail, in the file's order, duplicates included.

    Raises:
        DataError: a line does not hold exactly three integers, or the file holds no triple.
    """
    numbers = parse_integers(content, path)
    expected = "head relation tail (three integers)"
    if not len(numbers.values):
        raise DataError(path, "holds no triple", f"lines of {expected}")
    starts = np.flatnonzero(numbers.first_of_line())
    counts = np.diff(np.r_[starts, len(numbers.values)])
    wrong = np.flatnonzero(counts != 3)
    if len(wrong):
        first = starts[wrong[0]]
        words = numbers.values[first:first + counts[wrong[0]]]
        shown = " ".join(str(v) for v in words[:6]) + (" ..." if len(words) > 6 else "")
        raise DataError(
            path, f"'{shown}' holds {len(words)} number{'s' if len(words) > 1 else ''}",
            expected, int(numbers.lines[first]),
        )
    return numbers.values.reshape(-1, 3)
