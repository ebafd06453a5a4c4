from __future__ import annotations

import hashlib
import os

from diffkg_recbole.store import data_files, graph_hash


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
