"""Integer text files: values and lines, and the line of whatever is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converters.integer_text import ID_LIMIT, parse_integers, parse_triples
from diffkg_recbole.errors import DataError

PATH = Path("kg.txt")


@pytest.mark.parametrize("content", [
    b"1 2 3\n40 5 6\n", b"1 2 3\n40 5 6", b"1\t2\t3\r\n40\t5\t6\r\n",
    b"  1   2 3 \n\n\n40 5 6\n \n",
    b"\xef\xbb\xbf1 2 3\n40 5 6\n",
], ids=["plain", "no last newline", "tabs and carriage returns", "blanks", "byte order mark"])
def test_triples(content: bytes) -> None:
    np.testing.assert_array_equal(parse_triples(content, PATH), [[1, 2, 3], [40, 5, 6]])


def test_values_and_lines_equal_a_plain_reading() -> None:
    generator = np.random.default_rng(0)
    rows = [[int(v) for v in generator.integers(0, 10**generator.integers(1, 10), size)]
            for size in generator.integers(0, 6, 300)]
    text = "\n".join(" ".join(map(str, row)) for row in rows)
    numbers = parse_integers(text.encode(), PATH)
    assert numbers.values.tolist() == [v for row in rows for v in row]
    assert numbers.lines.tolist() == [i for i, row in enumerate(rows, 1) for _ in row]
    firsts = numbers.values[numbers.first_of_line()].tolist()
    assert firsts == [row[0] for row in rows if row]


def test_the_largest_id_is_read() -> None:
    assert parse_integers(str(ID_LIMIT - 1).encode(), PATH).values.tolist() == [ID_LIMIT - 1]


@pytest.mark.parametrize(("content", "line", "named"), [
    (b"0 0 1\n0 x 1\n", 2, "'x' is not an integer"),
    (b"0 0 1\n\n0 1.5 1\n", 3, "'1.5' is not an integer"),
    (b"0 0 1\n0 +1 1\n", 2, "'+1' is not an integer"),
    (b"0 0 1\n1 0 1e3\n", 2, "'1e3' is not an integer"),
    (b"0,0,1\n", 1, "'0,0,1' is not an integer"),
    (b"0 0 1\n0 0 -7", 2, "negative id -7"),
    (b"0 0 1\n-0 0 7", 2, "negative id -0"),
    (b"0 0 1\n0 0 2147483647\n", 2, "id 2147483647 is too large"),
    (b"0 0 1\n99999999999999999999999999 0 1\n", 2, "id 99999999999999999999999999 is too large"),
    (b"0 0 1\n0 0\n", 2, "'0 0' holds 2 numbers"),
    (b"0 0 1\n5\n", 2, "'5' holds 1 number;"),
    (b"0 0 1\n0 0 1\n1 2 3 4\n", 3, "'1 2 3 4' holds 4 numbers"),
    (b"0 0 1\n0 \x00 1\n", 2, "is not an integer"),
    ("0 0 1\n0 0 ٣\n".encode(), 2, "'٣' is not an integer"),
    (b"0 0 " + b"a" * 500, 1, "'" + "a" * 40 + "...' is not an integer"),
], ids=repr)
def test_what_is_wrong_is_named_with_its_line(content: bytes, line: int, named: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_triples(content, PATH)
    assert str(caught.value).startswith(f"kg.txt, line {line}: ")
    assert named in str(caught.value)
    assert caught.value.line == line


def test_no_triple_at_all() -> None:
    with pytest.raises(DataError, match="holds no triple"):
        parse_triples(b" \n\n", PATH)
