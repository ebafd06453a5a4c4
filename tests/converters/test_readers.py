"""The authors' and KGAT's folders to the neutral form, names included."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from converters.authors import read_authors
from converters.kgat import read_kgat
from converters.sources import SourceFolder
from diffkg_recbole.errors import DataError
from tests.converters.conftest import SHAPE, TEST, TRAIN, TRIPLES, matrix, write_kgat


def test_both_formats_give_the_same(authors_folder: Path, tmp_path: Path) -> None:
    one = read_authors(SourceFolder(authors_folder), "x")
    other = read_kgat(SourceFolder(write_kgat(tmp_path / "kgat")), "x")
    for data in (one, other):
        assert (data.n_users, data.n_items) == SHAPE
        assert data.train.tolist() == [list(pair) for pair in TRAIN]
        assert data.test.tolist() == [list(pair) for pair in TEST]
        assert data.triples.tolist() == [list(triple) for triple in TRIPLES]
        assert (data.n_entities, data.n_relations) == (8, 2)


def test_authors_values_zeros_and_repetitions(authors_folder: Path) -> None:
    values = np.array([2.5, 0, -1, 1, 1], dtype=np.float64)
    stored = sp.coo_matrix((values, ([0, 0, 1, 2, 2], [0, 1, 2, 3, 3])), shape=SHAPE)
    (authors_folder / "trnMat.pkl").write_bytes(pickle.dumps(stored))
    data = read_authors(SourceFolder(authors_folder), "x")
    assert data.train.tolist() == [[0, 0], [1, 2], [2, 3]]
    assert data.duplicates["train"] == 1


def test_kgat_repetitions_and_users_without_items(kgat_folder: Path) -> None:
    (kgat_folder / "train.txt").write_text("0 4 1 4 1\n1\n\n3 2\n0 0\n")
    data = read_kgat(SourceFolder(kgat_folder), "x")
    assert data.train.tolist() == [[0, 0], [0, 1], [0, 4], [3, 2]]
    assert (data.n_users, data.n_items) == (4, 5)
    assert data.duplicates == {"train": 2, "test": 0}


def test_kgat_sizes_come_from_the_lists_or_the_caller(kgat_folder: Path) -> None:
    (kgat_folder / "item_list.txt").write_text(
        "org_id remap_id\n" + "".join(f"i{n} {n}\n" for n in range(9)))
    (kgat_folder / "user_list.txt").write_text("org_id remap_id\nu 0\nv 1\nw 2\nz 3\n")
    (kgat_folder / "entity_list.txt").write_text("org_id remap_id\nlast 11\n")
    data = read_kgat(SourceFolder(kgat_folder), "x")
    assert (data.n_users, data.n_items, data.n_entities) == (4, 9, 12)
    data = read_kgat(SourceFolder(kgat_folder), "x", n_users=7, n_items=10)
    assert (data.n_users, data.n_items) == (7, 10)


@pytest.mark.parametrize("text", [
    "org_id remap_id\na 0\nb c 1\n", "a 0\nb c 1\n", "org_id\tremap_id\r\na\t0\r\nb c\t1\r\n",
    "\ufefforg_id remap_id\nb c 1\na 0\n",
])
def test_name_lists(kgat_folder: Path, text: str) -> None:
    (kgat_folder / "relation_list.txt").write_bytes(text.encode())
    names = read_kgat(SourceFolder(kgat_folder), "x").names
    assert names["relation"].to_dict() == {0: "a", 1: "b c"}
    assert list(names) == ["relation"]


def test_name_list_with_further_columns(kgat_folder: Path) -> None:
    (kgat_folder / "item_list.txt").write_text(
        "org_id remap_id freebase_id\nB0 0 m.0x\nB4 4 m.1y\n")
    data = read_kgat(SourceFolder(kgat_folder), "x")
    assert data.names["item"].to_dict() == {0: "B0", 4: "B4"}
    assert data.n_items == 5


@pytest.mark.parametrize(("text", "names", "size"), [
    ("org_id remap_id\nm.01 0\n 40\n", {0: "m.01"}, 41),
    ("org_id remap_id\nm.01 0\n\t40\r\n", {0: "m.01"}, 41),
    ("org_id\tremap_id\tfreebase_id\nN1\t1\tSome Place\n", {1: "N1"}, 2),
    ("org_id\tremap_id\tfreebase_id\nTwo Words\t3\tm.0\n\t11\tm.1\n", {3: "Two Words"}, 12),
    ("org_id remap_id\n 40\n", None, 41),
])
def test_entity_lists_with_gaps(kgat_folder: Path, text: str, names: dict, size: int) -> None:
    (kgat_folder / "entity_list.txt").write_bytes(text.encode())
    data = read_kgat(SourceFolder(kgat_folder), "x")
    assert (data.names["entity"].to_dict() if names else data.names.get("entity")) == names
    assert data.n_entities == max(size, 8)
    assert data.notices == ()


BROKEN_LISTS = pytest.mark.parametrize(("text", "line", "named"), [
    ("org_id remap_id\na 0\nb\n", 3, "'b' has no id"),
    ("org_id remap_id\na 0\nb x\n", 3, "'b x' has no id"),
    ("org_id remap_id\na 0\nb -1\n", 3, "'b -1' has no id"),
    ("a 0\nb 0\n", 2, "id 0 stands twice"),
    ("org_id remap_id freebase_id\na 0\n", 2, "'a 0' has no id"),
    ("org_id remap_id\na 0b 1c 2\nd0\n", 3, "'d0' has no id"),
    ("\xff", None, "UTF-8"), ("\n", None, "is empty"), ("org_id remap_id\n", None, "no name"),
])


def write_list(folder: Path, kind: str, text: str) -> None:
    (folder / f"{kind}_list.txt").write_bytes(text.encode("latin-1"))


@BROKEN_LISTS
@pytest.mark.parametrize("kind", ["entity", "relation"])
def test_a_list_that_is_not_needed_stops_nothing(
    kgat_folder: Path, kind: str, text: str, line: int | None, named: str
) -> None:
    write_list(kgat_folder, kind, text)
    data = read_kgat(SourceFolder(kgat_folder), "x")
    assert kind not in data.names
    (notice,) = data.notices
    assert named in notice
    assert f"{kind}_list.txt" in notice
    assert line is None or f"line {line}:" in notice


@BROKEN_LISTS
@pytest.mark.parametrize("kind", ["user", "item"])
def test_a_list_whose_count_is_needed_stops(
    kgat_folder: Path, kind: str, text: str, line: int | None, named: str
) -> None:
    write_list(kgat_folder, kind, text)
    with pytest.raises(DataError, match=named) as caught:
        read_kgat(SourceFolder(kgat_folder), "x")
    assert line is None or caught.value.line == line
    data = read_kgat(SourceFolder(kgat_folder), "x", **{f"n_{kind}s": 9})  # now it is not
    assert getattr(data, f"n_{kind}s") == 9
    assert len(data.notices) == 1


def test_the_authors_files_need_no_list(authors_folder: Path) -> None:
    write_list(authors_folder, "item", "nonsense\n")
    assert len(read_authors(SourceFolder(authors_folder), "x").notices) == 1


def test_the_validation_part_of_the_source(kgat_folder: Path) -> None:
    (kgat_folder / "valid.txt").write_text("0 4 4\n2 2 1\n")
    data = read_kgat(SourceFolder(kgat_folder), "x")
    train, valid = data.parts
    assert train.tolist() == [list(pair) for pair in TRAIN]
    assert valid.tolist() == [[0, 4], [2, 1], [2, 2]]
    assert data.train.tolist() == sorted([list(pair) for pair in TRAIN] + [[0, 4], [2, 1]])
    assert data.duplicates == {"train": 1, "test": 0}


@pytest.mark.parametrize(("text", "message"), [
    ("0 5\n", "valid.txt, line 1: item 5 lies beyond the 5 items that train.txt gives"),
    ("0 a\n", "valid.txt, line 1"), ("", "valid.txt: is empty"),
    ("0\n", "valid.txt: holds no interaction")])
def test_a_broken_validation_part(kgat_folder: Path, text: str, message: str) -> None:
    (kgat_folder / "valid.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        read_kgat(SourceFolder(kgat_folder), "x")


def test_sums_are_those_of_the_files(authors_folder: Path) -> None:
    import hashlib

    folder = SourceFolder(authors_folder)
    read_authors(folder, "x")
    assert folder.sha256 == {
        file: hashlib.sha256((authors_folder / file).read_bytes()).hexdigest()
        for file in ("trnMat.pkl", "tstMat.pkl", "kg.txt")
    }


def test_shapes_must_agree(authors_folder: Path) -> None:
    (authors_folder / "tstMat.pkl").write_bytes(pickle.dumps(matrix(TEST, (3, 6))))
    with pytest.raises(DataError, match=r"tstMat.pkl: has shape \(3, 6\).*\(3, 5\)"):
        read_authors(SourceFolder(authors_folder), "x")
