"""Errors that are the user's to mend: one clear sentence, exit status 2."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def shown(value: Any, most: int = 200) -> str:
    """A value as a message shows it, of at most so many letters before the dots."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def visible(text: str) -> str:
    """Text in which no character can end a line, steer a terminal or fail to be written."""
    return "".join(letter if letter.isprintable() else
                   letter.encode("unicode_escape").decode("ascii") for letter in text)


def surrogate_escaped(text: str) -> str:
    """Text whose lone surrogates, which no encoding can write, are ``\\ud800`` in letters."""
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


class UserError(Exception):
    """Something outside the program is wrong; the message says what and what was expected.

    Command-line entry points print it as ``error: <message>`` and exit with status 2.
    """

    exit_status = 2


class DivergedError(UserError):
    """A loss or a score of the training is infinite or not a number."""


class ConfigurationError(UserError):
    """A configuration key is unknown or its value lies outside the allowed range.

    Args:
        key: the configuration key.
        value: the value that was given.
        expected: the allowed values, in words (``"a number in [0, 1]"``).
        source: where the value came from (``"configs/x.yaml, line 3"``), if known.
    """

    def __init__(self, key: str, value: Any, expected: str, source: str | None = None) -> None:
        self.key, self.value, self.expected, self.source = key, value, expected, source
        where = f" ({source})" if source else ""
        super().__init__(visible(f"configuration key '{key}': {shown(value)} is not allowed{where}"
                                 f"; expected {expected}"))


class DataError(UserError):
    """A data file is missing or malformed.

    Args:
        path: the file.
        problem: what is wrong, with the offending value.
        expected: what was expected instead, in words.
        line: 1-based line number, where the file has lines.
        lines: several of them, instead.
    """

    def __init__(
        self, path: str | Path, problem: str, expected: str | None = None, line: int | None = None,
        lines: Sequence[int] = (),
    ) -> None:
        numbers = list(lines) or ([] if line is None else [line])
        self.path, self.line = Path(path), numbers[0] if numbers else None
        where = str(path)
        if len(numbers) == 1:
            where += f", line {numbers[0]}"
        elif numbers:
            where += f", lines {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
        tail = f"; expected {expected}" if expected else ""
        super().__init__(visible(f"{where}: {problem}{tail}"))
