"""Pickled matrices: every format is read, and nothing that is hostile is run."""

from __future__ import annotations

import base64
import copyreg
import json
import os
import pickle
import pickletools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from converters import safe_pickle
from converters.safe_pickle import FORMATS
from converters.sparse_files import Coordinates, matrix_bytes, parse_matrix
from diffkg_recbole.errors import DataError

PATH = Path("trnMat.pkl")
OLD = json.loads((Path(__file__).parent / "old_pickles.json").read_text())["pickles"]


def dense(matrix: Coordinates) -> np.ndarray:
    """The matrix with the stored values, repeated places added up."""
    full = np.zeros(matrix.shape, dtype=np.complex128)
    np.add.at(full, (matrix.rows, matrix.columns), matrix.numbers)
    return full


def example(dtype: str) -> sp.coo_matrix:
    generator = np.random.default_rng(3)
    full = generator.integers(1, 50, (7, 10)) * (generator.random((7, 10)) < 0.3)
    return sp.coo_matrix(full.astype(dtype))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["matrix", "array"])
@pytest.mark.parametrize("form", FORMATS)
def test_reads_every_format_kind_and_protocol(form: str, kind: str, protocol: int) -> None:
    original = getattr(sp, f"{form}_{kind}")(example("float32"))
    read = parse_matrix(pickle.dumps(original, protocol=protocol), PATH)
    assert read.shape == (7, 10)
    np.testing.assert_array_equal(dense(read), original.toarray())


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int32", "int64", "float32",
                                   "float64", "complex64"])
@pytest.mark.parametrize("form", ["coo", "csr", "lil", "dok"])
def test_reads_every_number_type(form: str, dtype: str) -> None:
    original = example("float64").astype(dtype).asformat(form)
    read = parse_matrix(pickle.dumps(original), PATH)
    np.testing.assert_array_equal(dense(read), original.toarray().astype(np.complex128))


@pytest.mark.parametrize("name", sorted(OLD))
def test_reads_pickles_of_old_releases(name: str) -> None:
    expected = np.zeros((4, 6))
    expected[[0, 1, 3], [1, 2, 0]] = [1, 2, 3]
    np.testing.assert_array_equal(
        dense(parse_matrix(base64.b64decode(OLD[name]), PATH)), expected)


def test_reads_dia_beyond_the_square_and_bsr_blocks() -> None:
    diagonals = sp.dia_matrix((np.arange(1.0, 16).reshape(3, 5), [-1, 0, 3]), shape=(4, 5))
    np.testing.assert_array_equal(
        dense(parse_matrix(pickle.dumps(diagonals), PATH)), diagonals.toarray())
    blocks = sp.bsr_matrix(example("float64").toarray()[:6], blocksize=(3, 2))
    np.testing.assert_array_equal(
        dense(parse_matrix(pickle.dumps(blocks), PATH)), blocks.toarray())


@pytest.mark.parametrize("form", FORMATS)
def test_reads_an_empty_matrix(form: str) -> None:
    read = parse_matrix(pickle.dumps(sp.coo_matrix((3, 4)).asformat(form)), PATH)
    assert read.shape == (3, 4)
    assert not dense(read).any()


def test_reads_arrays_of_the_other_byte_order() -> None:
    content = _altered(COO, data=COO.data.astype(">f8"), coords=(
        COO.row.astype(">i4"), COO.col.astype(">i8")))
    np.testing.assert_array_equal(dense(parse_matrix(content, PATH)), COO.toarray())


# ---- hostile and other pickles -----------------------------------------------------------------

class Runs:
    """Pickles to a call."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _hostile(marker: Path) -> dict[str, tuple[bytes, str]]:
    """Pickles that would leave a marker file if anything of them ran, and what is refused."""
    touch = f"open({str(marker)!r}, 'w')"
    system = Runs(os.system, f"touch {marker}")
    lil = sp.lil_matrix((2, 2))
    lil.rows[0] = [Runs(exec, touch)]
    inside_state = sp.csr_matrix((2, 2))
    inside_state.extra = Runs(eval, touch)
    function_state = (  # alters a function instead of calling one
        b"\x80\x02c_codecs\nencode\n}X\x08\x00\x00\x00__code__K\x01sb."
    )
    return {
        "os.system": (pickle.dumps(system), "posix.system"),
        "eval": (pickle.dumps(Runs(eval, touch)), "builtins.eval"),
        "protocol 0": (pickle.dumps(Runs(exec, touch), protocol=0), "exec"),
        "hidden in a matrix": (pickle.dumps(inside_state), "builtins.eval"),
        "hidden in a list of lil": (pickle.dumps(lil), "builtins.exec"),
        "dotted name": (b"\x80\x04\x8c\x0cscipy.sparse\x94\x8c\x10coo_matrix.__new\x94\x93.",
                        "scipy.sparse.coo_matrix.__new"),
        "other scipy name": (b"\x80\x02cscipy.sparse\nload_npz\n.", "scipy.sparse.load_npz"),
        "other numpy name": (b"\x80\x02cnumpy\nload\n.", "numpy.load"),
        "getattr": (b"\x80\x02cbuiltins\ngetattr\n.", "builtins.getattr"),
        "persistent id": (b"\x80\x02X\x01\x00\x00\x00aQ.", "not a readable pickle"),
        "altered function": (function_state, "alter a function"),
    }


@pytest.mark.parametrize("name", sorted(_hostile(Path("x"))))
def test_runs_nothing_of_a_hostile_pickle(name: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    content, named = _hostile(marker)[name]
    with pytest.raises(DataError) as caught:
        parse_matrix(content, PATH)
    assert named in str(caught.value)
    assert not marker.exists()


def test_the_hostile_pickles_would_run_elsewhere(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    pickle.loads(_hostile(marker)["os.system"][0])
    assert marker.exists()


def test_refuses_a_registered_extension() -> None:
    copyreg.add_extension("os", "system", 240)
    try:
        with pytest.raises(DataError, match="refused to load 'extension 240'"):
            parse_matrix(b"\x80\x02\x82\xf0.", PATH)
    finally:
        copyreg.remove_extension("os", "system", 240)


def test_functions_stay_the_same_after_a_hostile_pickle() -> None:
    before = dict(safe_pickle._NAMES)
    with pytest.raises(DataError):
        parse_matrix(_hostile(Path("x"))["altered function"][0], PATH)
    assert before == safe_pickle._NAMES
    assert safe_pickle._NAMES["_codecs", "encode"]("é", "latin1") == b"\xe9"


@pytest.mark.parametrize(("value", "named"), [
    ({"a": 1}, "holds a dict"), ([1, 2], "holds a list"), ("text", "holds a str"),
    (None, "holds a None"), (3, "holds a int"), (np.ones((2, 2)), "dense NumPy array"),
    (np.float64(2), "holds a float64"), (np.dtype("f4"), "NumPy type"),
    (np.array([[1, "a"]], dtype=object), "dense NumPy array"),
], ids=str)
def test_refuses_a_pickle_of_something_else(value: object, named: str) -> None:
    with pytest.raises(DataError, match=named):
        parse_matrix(pickle.dumps(value), PATH)


@pytest.mark.parametrize("content", [
    b"hello", b"\x80\x04", b"\x00\x01\x02", b"(", b"\x80\x05\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
    b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x0f",
], ids=repr)
def test_refuses_what_is_no_pickle(content: bytes) -> None:
    with pytest.raises(DataError, match="not a readable pickle"):
        parse_matrix(content, PATH)


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_refuses_a_truncated_pickle(
    share: float, protocol: int, capfd: pytest.CaptureFixture[str]
) -> None:
    content = pickle.dumps(example("float64"), protocol=protocol)
    with pytest.raises(DataError):
        parse_matrix(content[:int(len(content) * share)], PATH)
    assert capfd.readouterr().err == ""  # Python itself prints nothing either


@pytest.mark.parametrize("content", [
    b"\x80\x04Nr\xff\xff\xff\xbc.",  # stored under index 3,170,893,823
    b"\x80\x05\x96\x00\x00\x00\x00\x08\x00\x00\x00abc.",  # a byte array of 32 GiB
    b"\x80\x04\x8e\x00\x00\x00\x00\x08\x00\x00\x00abc.",  # bytes, likewise
    b"\x80\x02c__builtin__\nbytearray\n\x8a\x05\x00\x00\x00\x00\x08\x85R.",
], ids=["memo", "bytearray", "bytes", "bytearray of a size"])
def test_reserves_no_memory_on_a_files_say_so(content: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            parse_matrix(content, PATH)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_random_damage_is_read_or_refused_and_nothing_else(
    capfd: pytest.CaptureFixture[str]
) -> None:
    generator = np.random.default_rng(0)
    bases = [pickle.dumps(example("float32").asformat(form), protocol=protocol)
             for form in FORMATS for protocol in (2, 4, 5)]
    outcomes = []
    for number in range(2000):
        content = bytearray(bases[number % len(bases)])
        for place in generator.integers(0, len(content), generator.integers(1, 4)):
            content[place] = generator.integers(256)
        try:
            outcomes.append(parse_matrix(bytes(content), PATH).shape)
        except DataError:
            outcomes.append(None)
    assert 0 < outcomes.count(None) < len(outcomes)
    assert capfd.readouterr().err == ""


# ---- matrices that do not add up ---------------------------------------------------------------

def _altered(matrix: sp.spmatrix, **attributes: object) -> bytes:
    matrix = matrix.copy()
    matrix.__dict__.update(attributes)
    return pickle.dumps(matrix)


COO, CSR = example("float64"), example("float64").tocsr()
BROKEN = {
    "column outside": (_altered(COO, coords=(COO.row, COO.col + 5)), "item (column) 1"),
    "row outside": (_altered(COO, coords=(COO.row + 7, COO.col)), "user (row) "),
    "negative": (_altered(COO, coords=(COO.row, COO.col - 9)), "item (column) -"),
    "lengths": (_altered(COO, data=COO.data[:-1]), "different lengths"),
    "float index": (_altered(COO, coords=(COO.row + 0.5, COO.col)), "indices of type float64"),
    "one coordinate": (_altered(COO, coords=(COO.row,)), "no two arrays"),
    "pointers down": (_altered(CSR, indptr=CSR.indptr[::-1].copy()), "row pointers"),
    "pointers short": (_altered(CSR, indptr=CSR.indptr[:-1]), "row pointers"),
    "pointers high": (_altered(CSR, indptr=CSR.indptr * 2), "indices where its pointers count"),
    "no data": (_altered(CSR, data=None), "lacks the array 'data'"),
    "one dimension": (_altered(COO, _shape=(7,)), "has shape (7,)"),
    "huge": (_altered(COO, _shape=(10**12, 10)), "has shape"),
    "nan": (_altered(COO, data=np.full(COO.nnz, np.nan)), "no number (nan) at user"),
    "text": (_altered(COO, data=np.full(COO.nnz, "a")), "type <U1, not of numbers"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_refuses_a_matrix_that_does_not_add_up(name: str) -> None:
    content, named = BROKEN[name]
    with pytest.raises(DataError) as caught:
        parse_matrix(content, PATH)
    assert named in str(caught.value)


# ---- writing -----------------------------------------------------------------------------------

def test_written_matrix_is_a_plain_scipy_pickle() -> None:
    pairs = np.array([[0, 2], [0, 4], [2, 1]])
    content = matrix_bytes(pairs, (4, 5))
    loaded = pickle.loads(content)
    assert loaded.format == "csr"
    assert loaded.dtype == np.float32
    expected = np.zeros((4, 5))
    expected[[0, 0, 2], [2, 4, 1]] = 1
    np.testing.assert_array_equal(loaded.toarray(), expected)
    loaded.data[:] = 2  # the arrays are writable, as those of any matrix
    np.testing.assert_array_equal(dense(parse_matrix(content, PATH)), expected)


def test_written_matrix_names_nothing_that_old_numpy_lacks() -> None:
    content = matrix_bytes(np.array([[0, 1]]), (2, 3))
    texts = [argument for op, argument, _ in pickletools.genops(content)
             if op.name == "SHORT_BINUNICODE"]
    modules = {text for text in texts if text.startswith(("numpy", "scipy", "builtins"))}
    assert modules == {"numpy", "scipy.sparse._csr", "builtins"}
