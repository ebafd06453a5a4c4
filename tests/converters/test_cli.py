"""The command line: help, summaries, and one clear message for everything that is wrong."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

import numpy as np
import pytest
import scipy.sparse as sp
import yaml

from converters import atomic_writer
from diffkg_recbole.cli import main as program
from tests.converters.conftest import REPOSITORY, SHAPE, TEST, TRAIN, matrix, pairs_of
from tests.converters.test_sparse_files import Runs, _altered


def files_below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def refused(ran, work: Path, *named: str) -> None:
    """Exit status 2, exactly one line that names all this, and nothing written."""
    assert ran.status == 2
    lines = ran.error.strip().splitlines()
    assert len(lines) == 1, ran.error
    assert lines[0].startswith("error: ")
    for text in named:
        assert text in lines[0]
    assert ran.out == ""
    assert files_below(work) == []


# ---- what works --------------------------------------------------------------------------------

def test_convert_and_export(run, authors_folder: Path, work: Path) -> None:
    ran = run("authors", authors_folder, "small")
    assert (ran.status, ran.error) == (0, "")
    assert (work / "atomic_data" / "small" / "small.train.inter").is_file()
    values = yaml.safe_load((work / "configs" / "datasets" / "small.yaml").read_text())
    assert values["data_path"] == "atomic_data/"
    for text in ("items without a triple", "The graph says nothing about them",
                 "atomic_data/small/small.kg", "5 rows",
                 "python run_recbole_diffkg.py --dataset=small "
                 "--config_files=configs/datasets/small.yaml"):
        assert text in ran.out
    ran = run("export", "atomic_data/small", "back")
    assert ran.status == 0
    assert pairs_of(work / "back" / "trnMat.pkl") == set(TRAIN)
    assert pairs_of(work / "back" / "tstMat.pkl") == set(TEST)
    assert (work / "back" / "kg.txt").read_text() == (authors_folder / "kg.txt").read_text()


def test_the_program_has_it_as_a_sub_command(
    authors_folder: Path, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program(["convert", "authors", str(authors_folder), "small", "--quiet"]) == 0
    assert (work / "atomic_data" / "small" / "dataset.json").is_file()
    assert capsys.readouterr().out == ""
    assert program(["convert", "authors", str(authors_folder), "small"]) == 2
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--help"], ["authors", "--help"], ["kgat", "--help"],
                                   ["export", "--help"]])
def test_help(run, words: list[str]) -> None:
    ran = run(*words)
    assert ran.status == 0
    assert "usage: python -m converters" in ran.out
    if words == ["--help"]:
        for text in ("trnMat.pkl", "kg_final.txt", "examples:", "python -m converters authors "):
            assert text in ran.out


def test_overwrite(run, authors_folder: Path, work: Path) -> None:
    assert run("authors", authors_folder, "small").status == 0
    ran = run("authors", authors_folder, "small")
    assert ran.status == 2
    assert "exists already" in ran.error
    folder = work / "atomic_data" / "small"
    before = (folder / "small.valid.inter").read_text()
    assert run("authors", authors_folder, "small", "--overwrite", "--split-seed", 1,
               "--valid-fraction", 0.5).status == 0
    assert (folder / "small.valid.inter").read_text() != before
    (folder / "notes.md").write_text("mine")
    ran = run("authors", authors_folder, "small", "--overwrite")
    assert ran.status == 2
    assert "notes.md" in ran.error
    assert (folder / "notes.md").read_text() == "mine"


def test_counts_that_differ_from_the_papers_are_reported(run, authors_folder: Path) -> None:
    ran = run("authors", authors_folder, "alibaba")
    assert ran.status == 0
    assert "differ from those expected" in ran.out
    assert "114,737" in ran.out
    assert "the paper's statistics" in ran.out
    assert "not comparable" in ran.out


def test_counts_that_equal_a_claim_are_reported(run, authors_folder: Path, work: Path) -> None:
    configs = work / "configs" / "datasets"
    configs.mkdir(parents=True)
    (configs / "small.yaml").write_text("expected:\n  users: 3\n  source: my notes\n")
    ran = run("authors", authors_folder, "small")
    assert "All 1 counts that are expected (my notes) are equal" in ran.out
    assert "lacks 'data_path: atomic_data/'" in ran.out


def test_kgat_sizes_can_be_given(run, kgat_folder: Path, work: Path) -> None:
    (kgat_folder / "test.txt").write_text("0 3\n1 5\n")
    assert run("kgat", kgat_folder, "small", "--items", 6, "--users", 4).status == 0
    assert (work / "atomic_data" / "small" / "small.item").read_text().count("\n") == 1 + 6
    assert (work / "atomic_data" / "small" / "small.user").read_text().count("\n") == 1 + 4


# ---- what is wrong -----------------------------------------------------------------------------

def _pickle(file: str, value: object) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_bytes(pickle.dumps(value))


def _bytes(file: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_bytes(content)


def _without(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def _renamed(file: str, name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).rename(folder / name)


BAD_AUTHORS = {
    "no training matrix": (_without("trnMat.pkl"), "trnMat.pkl: file not found", "tstMat.pkl"),
    "no test matrix": (_without("tstMat.pkl"), "tstMat.pkl: file not found"),
    "no graph": (_without("kg.txt"), "kg.txt: file not found", "head relation tail"),
    "misnamed": (_renamed("trnMat.pkl", "trainMat.pkl"), "trnMat.pkl: file not found",
                 "holds: kg.txt, trainMat.pkl, tstMat.pkl"),
    "more items in test": (_pickle("tstMat.pkl", matrix(TEST, (3, 9))),
                           "tstMat.pkl: has shape (3, 9)", "expected the shape", "(3, 5)"),
    "fewer users in test": (_pickle("tstMat.pkl", matrix(TEST[:2], (2, 5))), "(2, 5)", "(3, 5)"),
    "item beyond the count in test": (
        _bytes("tstMat.pkl", _altered(matrix(TEST), coords=(np.array([0, 1, 2]),
                                                            np.array([0, 5, 1])))),
        "tstMat.pkl: has item (column) 5, outside 0..4"),
    "negative item in test": (
        _bytes("tstMat.pkl", _altered(matrix(TEST), coords=(np.array([0, 1, 2]),
                                                            np.array([0, -1, 1])))),
        "tstMat.pkl: has item (column) -1"),
    "a dictionary": (_pickle("trnMat.pkl", {"a": 1}), "trnMat.pkl: holds a dict",
                     "expected a pickled SciPy sparse matrix"),
    "a dense matrix": (_pickle("trnMat.pkl", np.ones(SHAPE)), "dense NumPy array"),
    "a hostile pickle": (_pickle("trnMat.pkl", Runs(os.system, "touch ran")),
                         "trnMat.pkl: refused to load 'posix.system'", "nothing was run"),
    "a hostile test pickle": (_pickle("tstMat.pkl", Runs(eval, "open('ran', 'w')")),
                              "refused to load 'builtins.eval'"),
    "no pickle": (_bytes("trnMat.pkl", b"hello"), "trnMat.pkl: is not a readable pickle"),
    "an empty file": (_bytes("trnMat.pkl", b""), "trnMat.pkl: is empty"),
    "an empty matrix": (_pickle("trnMat.pkl", sp.csr_matrix(SHAPE)),
                        "trnMat.pkl: holds no interaction", "(3, 5)"),
    "an empty test matrix": (_pickle("tstMat.pkl", sp.coo_matrix(SHAPE)),
                             "tstMat.pkl: holds no interaction"),
    "only zeros": (_pickle("trnMat.pkl", matrix(TRAIN) * 0), "holds no interaction"),
    "no items": (lambda folder: [_pickle(file, sp.csr_matrix((3, 0)))(folder)
                                 for file in ("trnMat.pkl", "tstMat.pkl")],
                 "trnMat.pkl: holds no interaction (shape (3, 0))"),
    "wasteful ids": (lambda folder: [
        _pickle(file, sp.coo_matrix(([1.0], ([0], [0])), shape=(2_000_000, 5)))(folder)
        for file in ("trnMat.pkl", "tstMat.pkl")], "counts 2000000 users, of which 1 occur"),
    "no integer": (_bytes("kg.txt", b"0 0 6\n1 made_by 6\n"),
                   "kg.txt, line 2: 'made_by' is not an integer", "expected integers"),
    "a short line": (_bytes("kg.txt", b"0 0 6\n1 0\n"), "kg.txt, line 2: '1 0' holds 2 numbers",
                     "expected head relation tail"),
    "a long line": (_bytes("kg.txt", b"0 0 6 1\n"), "kg.txt, line 1: '0 0 6 1' holds 4 numbers"),
    "a negative head": (_bytes("kg.txt", b"0 0 6\n-4 0 6\n"), "kg.txt, line 2: negative id -4"),
    "a negative relation": (_bytes("kg.txt", b"0 -1 6\n"), "kg.txt, line 1: negative id -1"),
    "no triple": (_bytes("kg.txt", b"\n \n"), "kg.txt: is empty"),
    "no triple behind a mark": (_bytes("kg.txt", b"\xef\xbb\xbf\n"), "kg.txt: holds no triple"),
    "no validation part": (_pickle("trnMat.pkl", matrix([(0, 0), (1, 1)])),
                           "no user has two training pairs"),
}


@pytest.mark.parametrize("name", BAD_AUTHORS)
def test_bad_authors_files(run, authors_folder: Path, work: Path, name: str) -> None:
    damage, *named = BAD_AUTHORS[name]
    damage(authors_folder)
    refused(run("authors", authors_folder, "small"), work, *named)


BAD_KGAT = {
    "no train": (_without("train.txt"), "train.txt: file not found", "KGAT's format"),
    "no graph": (_renamed("kg_final.txt", "kg.txt"), "kg_final.txt: file not found", "kg.txt"),
    "no integer": (_bytes("train.txt", b"0 1 2\n1 x\n"), "train.txt, line 2: 'x'"),
    "negative item": (_bytes("test.txt", b"0 1\n1 -2\n"), "test.txt, line 2: negative id -2"),
    "negative user": (_bytes("train.txt", b"-1 1\n"), "train.txt, line 1: negative id -1"),
    "no pair": (_bytes("train.txt", b"0\n1\n"), "train.txt: holds no interaction"),
    "no test pair": (_bytes("test.txt", b"0\n"), "test.txt: holds no interaction"),
    "item at the count in test only": (
        _bytes("test.txt", b"0 1\n1 0 5\n"), "test.txt, line 2: item 5 lies beyond the 5 items "
        "that train.txt gives", "ids from 0 to 4", "--items"),
    "item above the list": (
        _bytes("item_list.txt", b"org_id remap_id\na 0\nb 1\nc 2\nd 3\n"),
        "train.txt, line 3: item 4 lies beyond the 4 items that item_list.txt gives"),
    "user above the list": (_bytes("user_list.txt", b"org_id remap_id\na 0\n"),
                            "train.txt, line 2: user 1 lies beyond the 1 users"),
    "short line in the graph": (_bytes("kg_final.txt", b"1 2\n"), "kg_final.txt, line 1"),
    "no triple": (_bytes("kg_final.txt", b"\n"), "kg_final.txt: is empty"),
    "wasteful ids": (_bytes("train.txt", b"2000000000 1 2 3 4\n"), "counts 2000000001 users"),
    "broken list": (_bytes("item_list.txt", b"org_id remap_id\nx\n"), "item_list.txt, line 2"),
}


@pytest.mark.parametrize("name", BAD_KGAT)
def test_bad_kgat_files(run, kgat_folder: Path, work: Path, name: str) -> None:
    damage, *named = BAD_KGAT[name]
    damage(kgat_folder)
    refused(run("kgat", kgat_folder, "small"), work, *named)


@pytest.mark.parametrize(("words", "named"), [
    (["authors", "SOURCE", "../up"], "data set name '../up' is a path"),
    (["authors", "SOURCE", ""], "data set name '' names no folder"),
    (["authors", "SOURCE", "ml-100k"], "'ml-100k' is taken"),
    (["authors", "SOURCE", "x", "--valid-fraction", "0"], "--valid-fraction 0 is not allowed"),
    (["authors", "SOURCE", "x", "--valid-fraction", "1"], "--valid-fraction 1 is not allowed"),
    (["authors", "SOURCE", "x", "--valid-fraction", "nan"], "--valid-fraction nan"),
    (["authors", "SOURCE/kg.txt", "x"], "kg.txt: is a file"),
    (["authors", "nowhere", "x"], "nowhere: folder not found"),
    (["export", "SOURCE", "back"], "holds no .kg file"),
    (["export", "nowhere", "back"], "nowhere: folder not found"),
    (["export", "SOURCE", "back", "--test-fraction", "2"], "--test-fraction 2"),
])
def test_bad_requests(
    run, authors_folder: Path, work: Path, words: list[str], named: str
) -> None:
    words = [word.replace("SOURCE", str(authors_folder)) for word in words]
    refused(run(*words), work, named)


@pytest.mark.parametrize("words", [
    [], ["kegat", "a", "b"], ["authors"], ["authors", "a", "b", "--split-seed", "-1"],
    ["authors", "a", "b", "--valid-fraction", "x"], ["kgat", "a", "b", "--items", "0"],
])
def test_bad_words(run, work: Path, words: list[str]) -> None:
    ran = run(*words)
    assert ran.status == 2
    assert "error: " in ran.error
    assert files_below(work) == []


@pytest.mark.parametrize(("text", "named"), [
    ("expected:\n  users: many\n", "configuration key 'expected: users': 'many'"),
    ("expected:\n  useres: 1\n", "configuration key 'expected: useres': 1"),
    ("a: [\n", "small.yaml, line 2: is not valid YAML"),
])
def test_a_bad_configuration_file_stops_before_anything_is_written(
    run, authors_folder: Path, work: Path, text: str, named: str
) -> None:
    path = work / "configs" / "datasets" / "small.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    ran = run("authors", authors_folder, "small")
    assert (ran.status, len(ran.error.strip().splitlines())) == (2, 1)
    assert named in ran.error
    assert path.read_text() == text
    assert not (work / "atomic_data").exists()


def test_the_source_is_never_replaced(run, authors_folder: Path) -> None:
    ran = run("authors", authors_folder, "source", "--output", authors_folder.parent, "--overwrite")
    assert ran.status == 2
    assert "holds the source" in ran.error
    assert files_below(authors_folder) == ["kg.txt", "trnMat.pkl", "tstMat.pkl"]


def test_a_full_disk_leaves_nothing(
    run, authors_folder: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **more: object) -> None:
        raise OSError(28, "No space left on device", "x.link")

    monkeypatch.setattr(atomic_writer, "write_names", full)  # after the tables are written
    ran = run("authors", authors_folder, "small")
    assert ran.status == 2
    assert ran.error == ("error: x.link: no space left on the device; make room and give the same "
                         "command again: it goes on where it stopped\n")
    assert files_below(work / "atomic_data") == []


def test_interruption_leaves_nothing(
    run, authors_folder: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    assert run("authors", authors_folder, "small").status == 0
    before = {p: p.read_bytes() for p in (work / "atomic_data" / "small").iterdir()}
    monkeypatch.setattr(atomic_writer, "write_names", interrupted)
    ran = run("authors", authors_folder, "small", "--overwrite", "--split-seed", 9)
    assert ran.status == 130
    assert ran.error == "interrupted; nothing was written\n"
    assert {p: p.read_bytes() for p in (work / "atomic_data" / "small").iterdir()} == before
    assert files_below(work / "atomic_data")[0] == "small"  # no staged folder beside it


def test_control_c_in_a_real_process(tmp_path: Path) -> None:
    """A signal while a large set is being written."""
    source = tmp_path / "source"
    source.mkdir()
    generator = np.random.default_rng(0)
    for file in ("trnMat.pkl", "tstMat.pkl"):
        full = sp.random(5_000, 5_000, density=0.02, format="coo", random_state=generator)
        (source / file).write_bytes(pickle.dumps(full))
    (source / "kg.txt").write_text("0 0 5000\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "converters", "authors", str(source), "big"], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("atomic_data/.big.*/new/*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert error == "interrupted; nothing was written\n"
    assert list((tmp_path / "atomic_data").iterdir()) == []
    assert not (tmp_path / "configs" / "datasets" / "big.yaml").exists()
