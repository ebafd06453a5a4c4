"""Interaction matrices (``trnMat.pkl``, ``tstMat.pkl``) to and from coordinates."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from diffkg_recbole.errors import DataError
from diffkg_recbole.text import one_line

from .integer_text import ID_LIMIT
from .safe_pickle import (
    EXPECTED,
    ArrayRecord,
    BufferRecord,
    Malformed,
    SparseRecord,
    load_inert,
)


@dataclass(frozen=True)
class Coordinates:
    """Stored entries of a sparse matrix.

    Attributes:
        shape: (U, I).
        rows, columns: (n,) int64, inside the shape.
        numbers: (n,) values as stored; zeros and repeated places included.
    """

    shape: tuple[int, int]
    rows: np.ndarray
    columns: np.ndarray
    numbers: np.ndarray


def parse_matrix(content: bytes, path: Path) -> Coordinates:
    """Stored entries of a pickled SciPy matrix of any format.

    Raises:
        DataError: not such a pickle (see :func:`load_inert`), an array that does not fit, an
            index outside the shape, or a value that is not a number.
    """
    record = load_inert(content, path)
    try:
        state = _state(record)
        shape = _shape(state)
        rows, columns, values = _READERS[record.format](state, shape, record)
        matrix = Coordinates(shape, _index(rows), _index(columns), values)
        _check(matrix)
    except Malformed as error:
        raise DataError(path, str(error), EXPECTED) from None
    except Exception as error:  # NumPy refuses wrong types and numbers in many ways
        raise DataError(path, f"describes no matrix ({type(error).__name__}: "
                              f"{one_line(ascii(str(error)))[:200]})", EXPECTED) from None
    return matrix


def _state(record: SparseRecord) -> dict[str, Any]:
    state = record.state
    if isinstance(state, tuple) and len(state) == 2:  # (attributes, slots)
        state = {**(state[0] or {}), **(state[1] or {})}
    if not isinstance(state, dict):
        raise Malformed("holds a sparse matrix without content")
    return state


def _shape(state: dict[str, Any]) -> tuple[int, int]:
    shape = state.get("_shape", state.get("shape"))
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else ()
    if len(shape) != 2 or not all(
        isinstance(n, (int, np.integer)) and 0 <= n < ID_LIMIT for n in shape
    ):
        raise Malformed(f"has shape {shape}, not (users, items)")
    return int(shape[0]), int(shape[1])


def _array(value: Any, name: str, dimensions: int = 1) -> np.ndarray:
    if not isinstance(value, (ArrayRecord, BufferRecord)):
        raise Malformed(f"lacks the array '{name}'")
    array = value.array()
    if array.ndim != dimensions:
        raise Malformed(f"has an array '{name}' of {array.ndim} dimensions")
    return array


def _index(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "iu":
        raise Malformed(f"has indices of type {values.dtype}, not integers")
    return values.astype(np.int64)


def _check(matrix: Coordinates) -> None:
    lengths = {len(matrix.rows), len(matrix.columns), len(matrix.numbers)}
    if len(lengths) != 1:
        raise Malformed(f"has arrays of different lengths {sorted(lengths)}")
    if matrix.numbers.dtype.kind not in "biufc":
        raise Malformed(f"has values of type {matrix.numbers.dtype}, not numbers")
    for what, index, size in (("user (row)", matrix.rows, matrix.shape[0]),
                              ("item (column)", matrix.columns, matrix.shape[1])):
        outside = index[(index < 0) | (index >= size)]
        if len(outside):
            raise Malformed(f"has {what} {outside[0]}, outside 0..{size - 1} of its shape "
                            f"{matrix.shape}")
    if matrix.numbers.dtype.kind in "fc" and np.isnan(matrix.numbers).any():
        place = int(np.flatnonzero(np.isnan(matrix.numbers))[0])
        raise Malformed(f"holds no number (nan) at user {matrix.rows[place]}, "
                        f"item {matrix.columns[place]}")


# ---- one reader per format: state -> rows, columns, values -------------------------------------

def _read_coo(state: dict, shape: tuple[int, int], record: SparseRecord) -> tuple:
    if "coords" in state:
        coordinates = state["coords"]
        if not isinstance(coordinates, (tuple, list)) or len(coordinates) != 2:
            raise Malformed("has no two arrays of coordinates")
        row, column = coordinates
    else:
        row, column = state.get("row"), state.get("col")
    return _array(row, "row"), _array(column, "col"), _array(state.get("data"), "data")


def _compressed(state: dict, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Major and minor index of every stored entry (or block) of a csr, csc or bsr matrix."""
    pointers = _index(_array(state.get("indptr"), "indptr"))
    if len(pointers) != size + 1 or pointers[0] != 0 or (np.diff(pointers) < 0).any():
        raise Malformed(f"has row pointers that do not fit its {size} rows")
    minor = _array(state.get("indices"), "indices")
    if len(minor) < pointers[-1]:
        raise Malformed(f"has {len(minor)} indices where its pointers count {pointers[-1]}")
    return np.repeat(np.arange(size), np.diff(pointers)), minor[:pointers[-1]]


def _read_csr(state: dict, shape: tuple[int, int], record: SparseRecord) -> tuple:
    rows, columns = _compressed(state, shape[0])
    return rows, columns, _array(state.get("data"), "data")[:len(rows)]


def _read_csc(state: dict, shape: tuple[int, int], record: SparseRecord) -> tuple:
    columns, rows = _compressed(state, shape[1])
    return rows, columns, _array(state.get("data"), "data")[:len(rows)]


def _read_bsr(state: dict, shape: tuple[int, int], record: SparseRecord) -> tuple:
    data = _array(state.get("data"), "data", dimensions=3)
    height, width = data.shape[1:]
    if not height or not width or shape[0] % height or shape[1] % width:
        raise Malformed(f"has blocks of {height} x {width} that do not fit its shape {shape}")
    block_rows, block_columns = _compressed(state, shape[0] // height)
    data = data[:len(block_rows)]
    rows = block_rows[:, None, None] * height + np.arange(height)[:, None]
    columns = _index(block_columns)[:, None, None] * width + np.arange(width)
    rows, columns = np.broadcast_arrays(rows, columns)
    stored = data != 0  # a block is full of zeros that mean "no entry"
    if len(data) != len(block_rows):
        raise Malformed(f"has {len(data)} blocks where its pointers count {len(block_rows)}")
    return rows[stored], columns[stored], data[stored]


def _read_lil(state: dict, shape: tuple[int, int], record: SparseRecord) -> tuple:
    rows, data = _array(state.get("rows"), "rows"), _array(state.get("data"), "data")
    if len(rows) != shape[0] or len(data) != shape[0]:
        raise Malformed(f"has {len(rows)} lists where its shape has {shape[0]} rows")
    if not all(isinstance(entry, list) for part in (rows, data) for entry in part):
        raise Malformed("has rows that are no lists")
    columns = [column for row in rows for column in row]
    values = [value for row in data for value in row]
    lengths = [len(row) for row in rows]
    return np.repeat(np.arange(len(rows)), lengths), _plain(columns), _plain(values)


def _read_dok(state: dict, shape: tuple[int, int], record: SparseRecord) -> tuple:
    entries = state.get("_dict") or record.items  # a plain dict, or the matrix is the dict
    if not isinstance(entries, dict) or not all(
        isinstance(place, tuple) and len(place) == 2 for place in entries
    ):
        raise Malformed("has entries without (user, item) places")
    places = _plain([index for place in entries for index in place]).reshape(-1, 2)
    return places[:, 0], places[:, 1], _plain(list(entries.values()))


def _plain(numbers: list) -> np.ndarray:
    """Array of Python or NumPy numbers (an empty list is one of integers)."""
    if not all(isinstance(n, (int, float, complex, np.generic)) for n in numbers):
        raise Malformed("has entries that are no numbers")
    return np.array(numbers) if numbers else np.zeros(0, dtype=np.int64)


def _read_dia(state: dict, shape: tuple[int, int], record: SparseRecord) -> tuple:
    data = _array(state.get("data"), "data", dimensions=2)
    offsets = _index(_array(state.get("offsets"), "offsets"))
    if len(offsets) != len(data):
        raise Malformed(f"has {len(data)} diagonals where its offsets count {len(offsets)}")
    columns = np.broadcast_to(np.arange(data.shape[1]), data.shape)
    rows = columns - offsets[:, None]
    stored = (rows >= 0) & (rows < shape[0]) & (columns < shape[1]) & (data != 0)
    return rows[stored], columns[stored], data[stored]


_READERS = {
    "coo": _read_coo, "csr": _read_csr, "csc": _read_csc, "bsr": _read_bsr,
    "lil": _read_lil, "dok": _read_dok, "dia": _read_dia,
}


# ---- writing -----------------------------------------------------------------------------------

class _PortablePickler(pickle.Pickler):
    """Pickles arrays as ``numpy.frombuffer(bytes, type)``.

    That name exists in every NumPy. The usual pickle of an array names ``numpy._core``, which
    NumPy 1 does not have, so the authors' program could not open it on the stack it was made for.
    """

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, np.ndarray):
            return np.frombuffer, (bytearray(obj.tobytes()), obj.dtype.str)
        return NotImplemented


def matrix_bytes(pairs: np.ndarray, shape: tuple[int, int]) -> bytes:
    """A pickled CSR matrix (float32) with a one at every pair.

    Args:
        pairs: (n, 2) user and item, distinct and ascending.
        shape: (U, I).
    """
    pointers = np.searchsorted(pairs[:, 0], np.arange(shape[0] + 1))
    ones = np.ones(len(pairs), dtype=np.float32)
    matrix = csr_matrix(
        (ones, pairs[:, 1].astype(np.int32), pointers.astype(np.int32)), shape=shape
    )
    stream = io.BytesIO()
    _PortablePickler(stream, protocol=4).dump(matrix)
    return stream.getvalue()
