"""Small source folders, and the command line run inside an empty folder."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from converters.cli import main

REPOSITORY = Path(__file__).parents[2]
REAL_DATA = REPOSITORY.parent / "shared" / "data"

TRAIN = [(0, 0), (0, 1), (0, 2), (1, 1), (2, 0), (2, 2), (2, 4)]
TEST = [(0, 3), (1, 0), (2, 1)]
TRIPLES = [(0, 0, 6), (1, 0, 6), (2, 1, 7), (3, 0, 7), (6, 1, 7)]
SHAPE = (3, 5)


def matrix(pairs: list[tuple[int, int]], shape: tuple[int, int] = SHAPE) -> sp.coo_matrix:
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return sp.coo_matrix((np.ones(len(pairs), dtype=np.float32), (rows, columns)), shape=shape)


def pairs_of(path: Path) -> set[tuple[int, int]]:
    """Pairs of a pickled matrix, read with plain pickle."""
    loaded = sp.coo_matrix(pickle.loads(path.read_bytes()))
    return set(zip(loaded.row.tolist(), loaded.col.tolist()))


def write_authors(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "trnMat.pkl").write_bytes(pickle.dumps(matrix(TRAIN)))
    (folder / "tstMat.pkl").write_bytes(pickle.dumps(matrix(TEST)))
    (folder / "kg.txt").write_text("".join("{} {} {}\n".format(*t) for t in TRIPLES))
    return folder


def write_kgat(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "train.txt").write_text("0 0 1 2\n1 1\n2 0 2 4\n")
    (folder / "test.txt").write_text("0 3\n1 0\n2 1\n")
    (folder / "kg_final.txt").write_text("".join("{} {} {}\n".format(*t) for t in TRIPLES))
    return folder


@dataclass
class Ran:
    """What a command left behind."""

    status: int
    out: str
    error: str


@pytest.fixture
def authors_folder(tmp_path: Path) -> Path:
    return write_authors(tmp_path / "source")


@pytest.fixture
def kgat_folder(tmp_path: Path) -> Path:
    return write_kgat(tmp_path / "source")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "140")
    return folder


@pytest.fixture
def run(work: Path, capsys: pytest.CaptureFixture[str]):
    """Run the command line with these words inside the empty folder."""

    def runner(*words: object) -> Ran:
        capsys.readouterr()
        status = main([str(word) for word in words])
        printed = capsys.readouterr()
        return Ran(status, printed.out, printed.err)

    return runner


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real data sets; skips where they are missing."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"the real data sets are not there ({REAL_DATA})")
    return REAL_DATA
