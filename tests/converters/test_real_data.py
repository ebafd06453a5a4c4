"""The real data sets, where they are there: their recorded counts, both ways, and the cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from converters.authors import read_authors
from converters.convert import Request, convert
from converters.export import ExportRequest, export
from converters.kgat import read_kgat
from converters.sources import SourceFolder
from tests.converters.conftest import REPOSITORY
from tests.converters.test_export import matrices_equal

pytestmark = pytest.mark.realdata
COUNTS = {  # name in stats.json -> name in dataset.json
    "users": "users", "items": "items", "train": "train", "test": "test", "overlap": "overlap",
    "triples": "triples", "distinct_triples": "distinct_triples", "relations": "relations",
    "entity_ids": "entities", "entities_seen": "entities_in_graph",
    "items_in_kg": "items_in_graph",
}
AUDIT = {"items_only_in_test": "items_only_in_test", "users_only_in_test": "users_only_in_test",
         "overlap": "train_test_overlap"}


def source(real_data: Path, name: str) -> Path:
    if not (real_data / name).is_dir():
        pytest.skip(f"{name} is not there")
    return real_data / name


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Callable[[str], Path]:
    """Converts a data set once; returns its folder."""
    root = tmp_path_factory.mktemp("converted")

    def of(name: str) -> Path:
        if not (root / name).exists():
            convert(Request("authors", source(real_data, name), name, root, root))
        return root / name

    return of


@pytest.mark.parametrize("name", [
    "movie", "mind_partial", pytest.param("lastfm_clean", marks=pytest.mark.slow),
])
def test_counts_equal_the_recorded_ones(
    real_data: Path, converted: Callable[[str], Path], name: str
) -> None:
    stats = json.loads((source(real_data, name) / "stats.json").read_text())
    summary = json.loads((converted(name) / "dataset.json").read_text())
    assert {key: summary["counts"][ours] for key, ours in COUNTS.items()} == {
        key: stats[key] for key in COUNTS}
    assert {key: summary["audit"][ours]["count"] for key, ours in AUDIT.items()} == {
        key: stats[key] for key in AUDIT}
    assert summary["source"]["sha256"] == stats["sha256"]


@pytest.mark.parametrize("name", ["movie", pytest.param("mind_partial", marks=pytest.mark.slow)])
def test_there_and_back(
    real_data: Path, converted: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    folder = source(real_data, name)
    back = export(ExportRequest(converted(name), tmp_path / "back")).folder
    for file in ("trnMat.pkl", "tstMat.pkl"):
        matrices_equal(folder / file, back / file)
    texts = [(path / "kg.txt").read_text().splitlines() for path in (back, folder)]
    for ours, theirs in zip_longest(*texts):
        assert ours.split() == theirs.split()


def test_both_formats_of_movie_are_the_same(real_data: Path, tmp_path: Path) -> None:
    one = read_authors(SourceFolder(source(real_data, "movie")), "movie")
    other = read_kgat(SourceFolder(source(real_data, "movie_kgat")), "movie")
    assert (one.n_users, one.n_items) == (other.n_users, other.n_items)
    for part in ("train", "test", "triples"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
    folders = [
        convert(Request(kind, source(real_data, folder), "movie", tmp_path / kind, tmp_path)).folder
        for kind, folder in (("authors", "movie"), ("kgat", "movie_kgat"))
    ]
    for suffix in ("train.inter", "valid.inter", "test.inter", "user", "item", "kg", "link"):
        texts = [(folder / f"movie.{suffix}").read_bytes() for folder in folders]
        assert texts[0] == texts[1]
    assert (folders[1] / "relation_list.txt").is_file()


@pytest.mark.slow
def test_alibaba_stays_below_two_gigabytes(real_data: Path, tmp_path: Path) -> None:
    folder = source(real_data, "alibaba")
    process = subprocess.Popen(
        [sys.executable, "-m", "converters", "authors", str(folder), "alibaba"], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stdout=subprocess.PIPE, text=True,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert usage.ru_maxrss * 1024 < 2e9  # kibibytes on Linux
    assert "equal. Not stated there" in output
    summary = json.loads((tmp_path / "atomic_data" / "alibaba" / "dataset.json").read_text())
    assert summary["expected"]["differs"] == []
    assert summary["counts"]["pairs"] == 1_380_510 + 400_583
