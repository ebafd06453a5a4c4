"""The way back: equal matrices and triples, whatever the tokens are."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from converters.authors import read_authors
from converters.convert import Request, convert, write_dataset
from converters.export import ExportRequest, export
from converters.sources import SourceFolder
from converters.sparse_files import parse_matrix
from converters.synthetic import tiny
from diffkg_recbole.errors import DataError
from tests.converters.conftest import REPOSITORY, pairs_of

RECBOLE_SAMPLE = "dataset_example/ml-100k"


def matrices_equal(source: Path, back: Path) -> None:
    """The source is read as the converter does: its SciPy may be newer than this one."""
    read = parse_matrix(source.read_bytes(), source)
    expected = sp.csr_matrix((read.numbers, (read.rows, read.columns)), shape=read.shape)
    written = pickle.loads(back.read_bytes())
    assert written.shape == expected.shape
    assert ((written != 0) != (expected != 0)).nnz == 0


def there_and_back(source: Path, tmp_path: Path) -> Path:
    folder = convert(Request("authors", source, "set", tmp_path / "atomic", tmp_path / "y")).folder
    return export(ExportRequest(folder, tmp_path / "back")).folder


def test_golden_there_and_back(tmp_path: Path) -> None:
    source = REPOSITORY / "tests" / "golden"
    back = there_and_back(source, tmp_path)
    for file in ("trnMat.pkl", "tstMat.pkl"):
        matrices_equal(source / file, back / file)
    assert (back / "kg.txt").read_text() == (source / "kg.txt").read_text()
    assert json.loads((back / "export.json").read_text())["ids"] == "the tokens of the source"


def test_tiny_there_and_back(tmp_path: Path) -> None:
    back = export(ExportRequest(REPOSITORY / "atomic_data" / "tiny", tmp_path / "back")).folder
    data, original = read_authors(SourceFolder(back), "tiny"), tiny()
    assert (data.n_users, data.n_items) == (original.n_users, original.n_items)
    np.testing.assert_array_equal(data.train, original.train)
    np.testing.assert_array_equal(data.test, original.test)
    np.testing.assert_array_equal(data.triples, original.triples)


def test_names_come_back(kgat_folder: Path, tmp_path: Path) -> None:
    (kgat_folder / "relation_list.txt").write_text("made by 0\ngenre 1\n")
    folder = convert(Request("kgat", kgat_folder, "set", tmp_path / "a", tmp_path / "y")).folder
    back = export(ExportRequest(folder, tmp_path / "back")).folder
    assert (back / "relation_list.txt").read_text() == "org_id remap_id\nmade by 0\ngenre 1\n"


@pytest.mark.parametrize("change", ["gaps", "letters"])
def test_other_tokens_are_numbered_and_listed(tmp_path: Path, change: str) -> None:
    """Tokens that are no ids of the authors' kind: back under the names, everything is equal."""
    rename = {"gaps": lambda kind, n: str(1000 - 3 * n),
              "letters": lambda kind, n: f"{kind} {n}"}[change]
    data = tiny()
    folder = tmp_path / "named"
    folder.mkdir()

    def write(suffix: str, header: str, rows: list[tuple[str, ...]]) -> None:
        text = "\n".join("\t".join(row) for row in [tuple(header.split()), *rows])
        (folder / f"named.{suffix}").write_text(text + "\n")

    def entity(n: int) -> str:
        return f"m.{n}"

    inter = "user_id:token item_id:token rating:float"
    for part, pairs in (("train", data.train), ("test", data.test)):
        write(f"{part}.inter", inter,
              [(rename("user", u), rename("item", i), "3.5") for u, i in pairs.tolist()])
    write("kg", "head_id:token relation_id:token tail_id:token",
          [(entity(h), f"r{r}", entity(t)) for h, r, t in data.triples.tolist()])
    write("link", "item_id:token entity_id:token",
          [(rename("item", i), entity(i)) for i in range(data.n_items)])
    outcome = export(ExportRequest(folder, tmp_path / "back"))
    back = read_authors(SourceFolder(outcome.folder), "named")
    names = {kind: series.to_dict() for kind, series in back.names.items()}
    for mine, theirs in ((data.train, back.train), (data.test, back.test)):
        assert {(names["user"][u], names["item"][i]) for u, i in theirs.tolist()} == {
            (rename("user", u), rename("item", i)) for u, i in mine.tolist()}
    assert [(names["entity"][h], names["relation"][r], names["entity"][t])
            for h, r, t in back.triples.tolist()] == [
        (entity(h), f"r{r}", entity(t)) for h, r, t in data.triples.tolist()]
    for number, name in names["entity"].items():  # the first entities are the items
        if number < back.n_items:
            assert names["item"][number] == rename("item", int(name[2:]))
    if change == "gaps":
        assert list(names["item"].values()) == sorted(names["item"].values(), key=int)


def test_recboles_sample(tmp_path: Path) -> None:
    import recbole

    source = Path(recbole.__file__).parent / RECBOLE_SAMPLE
    outcome = export(ExportRequest(source, tmp_path / "back", test_fraction=0.25, split_seed=3))
    counts = outcome.summary["counts"]
    assert {key: counts[key] for key in ("users", "items", "pairs", "overlap", "triples",
                                         "relations", "entities_in_graph", "items_in_graph")} == {
        "users": 943, "items": 1682, "pairs": 100_000, "overlap": 0, "triples": 91_631,
        "relations": 24, "entities_in_graph": 34_628, "items_in_graph": 1598}
    assert outcome.read.cut
    back = read_authors(SourceFolder(outcome.folder), "ml")
    user, item, entity, relation = (
        back.names[kind].to_dict() for kind in ("user", "item", "entity", "relation"))
    rows = [line.split("\t") for line in (source / "ml-100k.inter").read_text().splitlines()[1:]]
    pairs = np.concatenate([back.train, back.test]).tolist()
    assert {(user[u], item[i]) for u, i in pairs} == {(row[0], row[1]) for row in rows}
    triples = (source / "ml-100k.kg").read_text().splitlines()[1:]
    assert ["\t".join((entity[h], relation[r], entity[t])) for h, r, t in back.triples.tolist()] \
        == triples
    links = dict(line.split("\t")[:2] for line in
                 (source / "ml-100k.link").read_text().splitlines()[1:])
    for number in range(back.n_items):
        if number in entity:
            assert links[item[number]] == entity[number]
    again = export(ExportRequest(source, tmp_path / "again", test_fraction=0.25, split_seed=3))
    for file in ("trnMat.pkl", "tstMat.pkl", "kg.txt"):
        assert (again.folder / file).read_bytes() == (outcome.folder / file).read_bytes()


def small(tmp_path: Path) -> Path:
    """The tiny set, to be damaged."""
    request = Request("synthetic", Path(__file__), "tiny", tmp_path / "atomic", tmp_path / "y")
    return write_dataset(tiny(), request, {}).folder


def test_links_that_are_not_one_to_one_are_reported(tmp_path: Path) -> None:
    folder = small(tmp_path)
    with (folder / "tiny.link").open("a") as file:
        file.write("3\t99\n5000\t98\n86\t3\n")
    outcome = export(ExportRequest(folder, tmp_path / "back"))
    assert len(outcome.read.notices) == 3
    text = " ".join(outcome.summary["notices"])
    assert "their items occur in no interaction" in text
    assert "'5000'" in text
    assert "item '3' with entity '99'" in text
    assert "entity '3' with item '86'" in text
    assert not outcome.read.exact


def test_parts_can_be_named(tmp_path: Path) -> None:
    folder = small(tmp_path)
    (folder / "tiny.train.inter").rename(folder / "tiny.a.inter")
    (folder / "tiny.test.inter").rename(folder / "tiny.b.inter")
    outcome = export(ExportRequest(folder, tmp_path / "back", parts=["a", "valid", "b"]))
    assert pairs_of(outcome.folder / "trnMat.pkl") == set(map(tuple, tiny().train.tolist()))
    outcome = export(ExportRequest(folder, tmp_path / "less", parts=["a", "b"]))
    assert len(outcome.read.data.train) == len(tiny().train) - 117
    # Sizes still are those of .user and .item.
    assert (outcome.read.data.n_users, outcome.read.data.n_items) == (120, 90)


@pytest.mark.parametrize(("file", "content", "line", "named"), [
    ("tiny.kg", "head_id:token\trelation_id:token\n0\t1\n", 1, "expected a column 'tail_id:token'"),
    ("tiny.kg", "head_id:token\trelation_id:token\ttail_id:token\n0\t1\t2\n0\t1\n", 3,
     "has 2 columns"),
    ("tiny.link", "item_id:token\tentity_id:token\n1\t1\n\n2\t\n", 4, "lacks a value"),
    ("tiny.test.inter", "user_id:token\titem_id:token\n1\t2\t3\n", 2, "has 3 columns"),
    ("tiny.test.inter", "user_id:token\titem_id:token\n", None, "gives no test pair"),
    ("tiny.item", "movie:token\n1\n", 1, "expected a column 'item_id:token'"),
])
def test_damaged_atomic_files(
    tmp_path: Path, file: str, content: str, line: int | None, named: str
) -> None:
    folder = small(tmp_path)
    (folder / file).write_text(content)
    with pytest.raises(DataError, match=named) as caught:
        export(ExportRequest(folder, tmp_path / "back"))
    assert caught.value.line == line
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("file", ["tiny.kg", "tiny.link", "tiny.train.inter", "tiny.test.inter"])
def test_missing_atomic_files(tmp_path: Path, file: str) -> None:
    folder = small(tmp_path)
    (folder / file).unlink()
    with pytest.raises(DataError):
        export(ExportRequest(folder, tmp_path / "back"))


def test_quotes_and_words_for_nothing_are_tokens(tmp_path: Path) -> None:
    folder = small(tmp_path)
    (folder / "tiny.kg").write_text(
        'head_id:token\trelation_id:token\ttail_id:token\n0\t"\tNA\nnan\t"\t0\n')
    back = export(ExportRequest(folder, tmp_path / "back")).read.data
    assert back.names["entity"].to_dict() == {0: "0", 90: "NA", 91: "nan"}
    assert back.names["relation"].to_dict() == {0: '"'}
    assert back.triples.tolist() == [[0, 0, 90], [91, 0, 0]]
