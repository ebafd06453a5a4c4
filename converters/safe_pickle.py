"""Pickled SciPy sparse matrices, read without running anything the pickle names.

Unpickling normally imports and calls whatever the file asks for. Here every name a sparse matrix
needs is answered with an inert stand-in that only remembers its arguments and state, every other
name is refused, and the arrays are rebuilt from the remembered bytes. So neither SciPy's nor
NumPy's version matters, and no class of theirs is ever built from the file's say-so.
"""

from __future__ import annotations

import io
import math
import pickle
import reprlib
from pathlib import Path
from typing import Any, Callable

import numpy as np

from diffkg_recbole.errors import DataError
from diffkg_recbole.text import one_line

FORMATS = ("coo", "csr", "csc", "lil", "dok", "dia", "bsr")
_MOST_AXES = 32
EXPECTED = "a pickled SciPy sparse matrix (" + ", ".join(FORMATS) + ")"


class Malformed(Exception):
    """What the pickle describes is not a matrix; the text says why."""


class _Refused(Exception):
    """The pickle names a class or function that a sparse matrix does not need."""


class Record:
    """Inert stand-in for an object: keeps arguments, state and items, does nothing."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None
        self.items: dict[Any, Any] = {}

    def __new__(cls, *arguments: Any) -> Record:  # unpickling calls __new__ alone
        record = object.__new__(cls)
        cls.__init__(record, *arguments)
        return record

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value


class DtypeRecord(Record):
    """numpy.dtype(code, align, copy) with state (version, byte order, ...)."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.scalars: dict[Any, np.generic] = {}  # a dok matrix repeats few numbers a million times

    def dtype(self) -> np.dtype:
        code = self.arguments[0] if self.arguments else None
        if isinstance(code, bytes):
            code = code.decode("latin-1")
        if not isinstance(code, str) or len(code) > 8:
            raise Malformed(f"holds an array of unknown type {reprlib.repr(code)}")
        try:
            plain = np.dtype(code)
        except TypeError:
            raise Malformed(f"holds an array of unknown type {reprlib.repr(code)}") from None
        if plain.kind not in "biufcO":
            raise Malformed(f"holds an array of type {plain}, not of numbers")
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "="
        order = order.decode("latin-1") if isinstance(order, bytes) else order
        return np.dtype(order + plain.str[1:]) if order in ("<", ">") else plain


class ArrayRecord(Record):
    """numpy.ndarray with state (version, shape, dtype, Fortran order, bytes or list)."""

    def array(self) -> np.ndarray:
        if not isinstance(self.state, tuple) or len(self.state) < 4:
            raise Malformed("holds an array without content")
        shape, dtype, fortran, raw = self.state[-4:]
        if not isinstance(dtype, DtypeRecord):
            raise Malformed("holds an array without a type")
        return _array_of(raw, dtype.dtype(), shape, "F" if fortran else "C")


class BufferRecord(Record):
    """An array as raw bytes: numpy's _frombuffer(buffer, dtype, shape, order, axes) and
    frombuffer(buffer, dtype)."""

    def array(self) -> np.ndarray:
        raw, dtype, *layout = self.arguments
        kind = dtype.dtype() if isinstance(dtype, DtypeRecord) else DtypeRecord(dtype).dtype()
        if not layout:
            layout = [(len(raw) // max(kind.itemsize, 1),), "C"]
        if layout[1] not in ("C", "F"):
            raise Malformed(f"holds an array in unknown order {reprlib.repr(layout[1])}")
        return _array_of(raw, kind, layout[0], layout[1])


class SparseRecord(Record):
    """A SciPy sparse matrix or array; ``format`` is set by the subclass."""

    format = ""


def _array_of(raw: Any, dtype: np.dtype, shape: Any, order: Any) -> np.ndarray:
    """Array from its bytes (numbers) or its list (objects), sizes checked first."""
    if not isinstance(shape, tuple) or len(shape) > _MOST_AXES or not all(
            isinstance(n, int) and 0 <= n < 2**63 for n in shape):
        raise Malformed(f"holds an array of impossible shape {reprlib.repr(shape)}")
    size = math.prod(shape)
    if dtype.kind == "O":
        if not isinstance(raw, list) or len(raw) != size:
            raise Malformed("holds a broken array of objects")
        return np.fromiter(raw, dtype=object, count=size).reshape(shape, order=order)
    if isinstance(raw, str):  # pickles of Python 2
        raw = raw.encode("latin-1")
    if isinstance(raw, pickle.PickleBuffer):
        raw = raw.raw()
    if not isinstance(raw, (bytes, bytearray, memoryview)):
        raise Malformed(f"holds an array whose content is a {type(raw).__name__}")
    if len(raw) != size * dtype.itemsize:
        raise Malformed(f"holds an array of shape {shape} with {len(raw)} bytes of content")
    return np.frombuffer(raw, dtype=dtype).reshape(shape, order=order)


class _Function:
    """A harmless function the pickle may call; it cannot be altered by the pickle."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise Malformed("tries to alter a function")


def _scalar(dtype: Any, raw: Any) -> np.generic:
    """NumPy's ``scalar``: one number from its bytes."""
    if not isinstance(dtype, DtypeRecord):
        raise Malformed("holds a number without a type")
    if raw not in dtype.scalars:
        dtype.scalars[raw] = _array_of(raw, dtype.dtype(), (1,), "C")[0]
    return dtype.scalars[raw]


def _encode(text: Any, encoding: Any) -> bytes:
    """``_codecs.encode``: how protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Malformed("holds text in an unexpected encoding")
    return text.encode("latin-1")


def _to_bytes(content: Any = b"", encoding: Any = None) -> bytes:
    """``bytearray`` and ``bytes``, from bytes or Latin-1 text only (never from a size)."""
    if isinstance(content, (bytes, bytearray)) and encoding is None:
        return bytes(content)
    return _encode(content, encoding)


def _reconstructor(record_class: Any, base: Any, content: Any) -> Record:
    """``copyreg._reconstructor``: protocols 0 and 1, and the dok format of any protocol."""
    if not (isinstance(record_class, type) and issubclass(record_class, Record)):
        raise Malformed("rebuilds an object in an unexpected way")
    record = record_class()
    if base == "dict" and isinstance(content, dict):
        record.items.update(content)
    return record


def _names() -> dict[tuple[str, str], Any]:
    """What each allowed (module, name) stands for."""
    names: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): ArrayRecord,
        ("numpy", "dtype"): DtypeRecord,
        ("numpy", "frombuffer"): _Function(BufferRecord),
        ("_codecs", "encode"): _Function(_encode),
    }
    for core in ("numpy.core", "numpy._core"):
        names[core + ".multiarray", "_reconstruct"] = _Function(lambda *_: ArrayRecord())
        names[core + ".multiarray", "scalar"] = _Function(_scalar)
        names[core + ".numeric", "_frombuffer"] = _Function(BufferRecord)
    for copyreg in ("copyreg", "copy_reg"):
        names[copyreg, "_reconstructor"] = _Function(_reconstructor)
    for builtins in ("builtins", "__builtin__"):
        names.update({(builtins, word): word for word in ("object", "dict")})
        names.update({(builtins, word): _Function(_to_bytes) for word in ("bytearray", "bytes")})
        names[builtins, "complex"] = _Function(lambda *parts: complex(*map(float, parts)))
    return names


_NAMES = _names()
_SPARSE = {
    f"{form}_{kind}": type(f"{form}_{kind}", (SparseRecord,), {"format": form})
    for form in FORMATS for kind in ("matrix", "array")
}


class _InertUnpickler(pickle._Unpickler):
    """Answers names with stand-ins.

    The standard library's implementation in Python, because the one in C reserves whatever
    memory a file of a few bytes claims to need (a memo index, the size of a byte array). The cost
    shows in the dok format alone, which holds several objects per entry: 5 seconds instead of 0.5
    for 300,000 entries; arrays are read at once either way.
    """

    def find_class(self, module: str, name: str) -> Any:
        if name in _SPARSE and (module == "scipy.sparse" or module.startswith("scipy.sparse.")):
            return _SPARSE[name]
        if (module, name) in _NAMES:
            return _NAMES[module, name]
        raise _Refused(f"{module}.{name}")

    def get_extension(self, code: int) -> None:
        raise _Refused(f"extension {code}")


def _load_bytearray(unpickler: Any) -> None:
    size = int.from_bytes(unpickler.read(8), "little")
    content = unpickler.read(size)
    if len(content) < size:
        raise Malformed(f"claims {size} bytes and holds {len(content)}")
    unpickler.append(bytearray(content))


# Python's own version reserves the claimed size first.
_InertUnpickler.dispatch = {**pickle._Unpickler.dispatch, pickle.BYTEARRAY8[0]: _load_bytearray}


def load_inert(content: bytes, path: Path) -> SparseRecord:
    """The sparse matrix that a pickle describes, as inert records.

    Args:
        content: the file's bytes.
        path: named in messages.

    Raises:
        DataError: no pickle, a pickle of something else, or one that names a class or function
            outside the short list a sparse matrix needs. Nothing of it has been run.
    """
    try:
        loaded = _InertUnpickler(io.BytesIO(content), encoding="latin-1").load()
    except _Refused as refused:
        raise DataError(
            path, f"refused to load '{refused}', which no sparse matrix needs (nothing was run)",
            EXPECTED,
        ) from None
    except Malformed as error:
        raise DataError(path, str(error), EXPECTED) from None
    except Exception as error:  # a damaged pickle can fail in any way; all mean the same
        detail = f"{type(error).__name__}: {one_line(error)[:200]}".strip(": ")
        raise DataError(path, f"is not a readable pickle ({detail})", EXPECTED) from None
    if not isinstance(loaded, SparseRecord):
        kind = {ArrayRecord: "dense NumPy array", BufferRecord: "dense NumPy array",
                DtypeRecord: "NumPy type",
                type(None): "None"}.get(type(loaded), type(loaded).__name__)
        raise DataError(path, f"holds a {kind}", EXPECTED)
    return loaded
