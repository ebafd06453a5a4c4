"""The text of an atomic file, checked as a table before anything parses it.

Everything is looked at in the bytes at once; lines are only numbered for a message.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffkg_recbole.errors import ConfigurationError, DataError
from diffkg_recbole.text import one_line

SUFFIXES = (".inter", ".user", ".item", ".kg", ".link")
_UNIT_SEPARATOR = "\x1f"  # stands for a separator of several bytes
_NEWLINE, _SPACE = ord("\n"), ord(" ")
_LINES_NAMED = 5


def check_regular_files(folder: str | Path, dataset: str) -> None:
    """Every atomic file of a dataset is a file: a pipe would hang, a device never end.

    Raises:
        DataError: a pipe, a device, a folder, or a link to nothing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return
    for entry in sorted(os.listdir(folder)):
        if entry.startswith(f"{dataset}.") and entry.endswith(SUFFIXES):
            check_regular(folder / entry)


def check_regular(path: Path) -> None:
    """As :func:`check_regular_files`, for one file."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", "a text file") from None
    if not stat.S_ISREG(mode):
        kind = ("a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode)
                else "a device or socket")
        raise DataError(path, f"is {kind}", "a text file")


@dataclass(frozen=True)
class AtomicText:
    """A file's lines, of which each has as many fields as the header.

    Attributes:
        path: the file.
        content: UTF-8 without mark, ``\\n`` after every line, no blank line below the header.
        separator: one character.
        header: words of the first line.
        lengths: bytes of each field below the header, [rows, columns] int64.
    """

    path: Path
    content: bytes
    separator: str
    header: list[str]
    lengths: np.ndarray
    _begin: int
    _blank_lines: np.ndarray

    def line_numbers(self, rows: np.ndarray) -> list[int]:
        """Lines in the file of rows counted from 0."""
        n_lines = len(self.lengths) + len(self._blank_lines)
        lines = np.delete(np.arange(n_lines), self._blank_lines)
        return (lines[rows] + 2).tolist()

    def empty(self, column: int) -> np.ndarray:
        """Rows where a column holds nothing, or blanks only. [n] int64, ascending."""
        nothing = self.lengths[:, column] == 0
        if any(before + b" " in self.content for before in (b"\n", self.separator.encode())):
            starts = self._begin + np.cumsum(self.lengths.ravel() + 1) - self.lengths.ravel() - 1
            start = starts.reshape(self.lengths.shape)[:, column]
            for row in np.flatnonzero(
                    np.frombuffer(self.content, np.uint8)[start] == _SPACE).tolist():
                field = self.content[start[row]:start[row] + self.lengths[row, column]]
                nothing[row] = not field.strip()
        return np.flatnonzero(nothing)

    def error(self, rows: np.ndarray, problem: str, expected: str) -> DataError:
        """The error of some rows."""
        return DataError(self.path, problem, expected,
                         lines=self.line_numbers(np.asarray(rows)[:_LINES_NAMED]))


def read_text(path: Path, separator: str, encoding: str) -> AtomicText:
    """Read a file and check its encoding, line ends and the number of fields of every line.

    A byte-order mark is skipped; lines may end in LF, CRLF, or CR throughout; blank lines are
    skipped; quotes mean nothing.

    Args:
        path: the file.
        separator: RecBole's ``field_separator``.
        encoding: RecBole's ``encoding``.

    Raises:
        DataError: naming the line.
    """
    check_regular(path)
    content = _normalised(path, _decoded(path, encoding))
    if not isinstance(separator, str) or not separator or set(separator) & set("\r\n"):
        raise ConfigurationError("field_separator", separator, "what stands between two fields")
    if len(separator.encode()) > 1:
        _refuse_byte(path, content, _UNIT_SEPARATOR.encode(), "a unit separator (byte 1F)")
        content = content.replace(separator.encode(), _UNIT_SEPARATOR.encode())
        separator = _UNIT_SEPARATOR
    begin = content.index(b"\n") + 1
    header = content[:begin - 1].decode().split(separator)
    text = np.frombuffer(content, np.uint8)[begin:]
    ends = np.flatnonzero((text == ord(separator)) | (text == _NEWLINE))
    lengths = np.diff(ends, prepend=-1) - 1
    last = np.flatnonzero(text[ends] == _NEWLINE)  # the field that ends each line
    fields = np.diff(last, prepend=-1)
    blank = (fields == 1) & (lengths[last] == 0)
    wrong = np.flatnonzero((fields != len(header)) & ~blank)
    if len(wrong):
        shown = wrong[:_LINES_NAMED]
        raise DataError(
            path, f"has {_columns(int(fields[wrong[0]]))}",
            f"{_columns(len(header))}: {one_line(', '.join(header))}",
            lines=(shown + 2).tolist(),
        )
    if blank.any():
        content = content[:begin] + re.sub(rb"\n\n+", b"\n", content[begin:].lstrip(b"\n"))
        lengths = np.delete(lengths, last[blank])
    return AtomicText(path, content, separator, header, lengths.reshape(-1, len(header)), begin,
                      np.flatnonzero(blank))


def _columns(number: int) -> str:
    return f"{number} column" if number == 1 else f"{number} columns"


def _decoded(path: Path, encoding: str) -> bytes:
    """Content of a file as UTF-8 without a byte-order mark."""
    try:
        codec = codecs.lookup(encoding).name
    except (LookupError, TypeError, ValueError):
        raise ConfigurationError("encoding", encoding, "the name of a text encoding") from None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", "a text file") from None
    try:
        if codec in ("utf-8", "utf-8-sig", "ascii"):
            content = content.removeprefix(codecs.BOM_UTF8)
            if not content.isascii():
                content.decode(codec)
            return content
        return content.decode(encoding).removeprefix("\ufeff").encode()
    except UnicodeDecodeError as error:
        line = content[:error.start].count(b"\n") + 1
        raise DataError(path, f"is not {encoding} text (byte {content[error.start]:02X})",
                        f"{encoding} text, or the key encoding that says which", line) from None
    except (LookupError, UnicodeError):
        raise ConfigurationError("encoding", encoding, "the name of a text encoding") from None


def _normalised(path: Path, content: bytes) -> bytes:
    """Lines that end in LF, the last one, too; no NUL and no stray CR."""
    _refuse_byte(path, content, b"\0", "a NUL byte")
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n")
        if b"\n" in content:
            _refuse_byte(path, content, b"\r", "a carriage return inside a line")
        content = content.replace(b"\r", b"\n")
    if not content.strip():
        raise DataError(path, "is empty", "a header such as user_id:token, and lines below it")
    return content if content.endswith(b"\n") else content + b"\n"


def _refuse_byte(path: Path, content: bytes, byte: bytes, name: str) -> None:
    place = content.find(byte)
    if place >= 0:
        line = content[:place].count(b"\n") + 1
        raise DataError(path, f"holds {name}", "plain text", line)
