from __future__ import annotations

import hashlib
import os

import pytest

from diffkg_recbole.store import data_files, graph_hash
from diffkg_recbole.store.file_hashes import sources_hash


def test_atomic_files_of_the_dataset_are_hashed(tmp_path):
    for name in ("a.inter", "a.train.inter", "a.kg", "a.link", "a.json", "b.inter", "ab.inter"):
        (tmp_path / name).write_text(name)
    assert data_files(tmp_path, "a") == {
        name: hashlib.sha256(name.encode()).hexdigest()
        for name in ("a.inter", "a.kg", "a.link", "a.train.inter")}


def test_a_changed_file_changes_its_hash(tmp_path):
    path = tmp_path / "a.inter"
    path.write_text("one")
    before = data_files(tmp_path, "a")
    path.write_text("two")
    os.utime(path, ns=(1, 1))
    assert data_files(tmp_path, "a") != before


def test_no_folder_holds_no_files(tmp_path):
    assert data_files(tmp_path / "nowhere", "a") == {}


def test_the_hash_of_the_graph_is_that_of_triples_and_links(tmp_path):
    for name in ("a.inter", "a.kg", "a.link"):
        (tmp_path / name).write_text(name)
    before = graph_hash(tmp_path, "a")
    (tmp_path / "a.inter").write_text("other pairs")
    assert graph_hash(tmp_path, "a") == before
    (tmp_path / "a.kg").write_text("other triples")
    assert graph_hash(tmp_path, "a") != before


@pytest.mark.parametrize("name", ["[x]", "a*", "?", "[!a]"])
def test_a_name_is_no_pattern(tmp_path, name):
    (tmp_path / "x.kg").write_text("of another data set")
    (tmp_path / f"{name}.kg").write_text("one")
    before = data_files(tmp_path, name)
    assert set(before) == {f"{name}.kg"}
    (tmp_path / f"{name}.kg").write_text("other")
    os.utime(tmp_path / f"{name}.kg", ns=(1, 1))
    assert data_files(tmp_path, name) != before


def test_sources_are_hashed_but_what_is_left_out(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for place in ("a/x.py", "b/x.py", "c.py"):
        (tmp_path / place).write_text("one\n")

    def hashed() -> str:
        sources_hash.cache_clear()
        return sources_hash(tmp_path, frozenset({"b"}))

    before = hashed()
    (tmp_path / "b/x.py").write_text("shown otherwise")
    (tmp_path / "a/notes.txt").write_text("no source")
    (tmp_path / "c.py").write_bytes(b"one\r\n")
    assert hashed() == before
    (tmp_path / "a/x.py").write_text("two\n")
    changed = hashed()
    assert changed != before
    (tmp_path / "a/x.py").rename(tmp_path / "a/y.py")
    assert hashed() != changed
