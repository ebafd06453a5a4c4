"""The cache of parsed datasets: equal to reading the text, rebuilt whenever it may not be used."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from diffkg_recbole.config import Config
from diffkg_recbole.data import cache as cache_module
from diffkg_recbole.data.cache import SETTINGS, DatasetCache, cache_folder
from diffkg_recbole.data.dataset import GeneralDataset, KnowledgeDataset
from diffkg_recbole.quick_start import prepare
from tests.data.small import write_small

DATASET = {"BPR": GeneralDataset, "CFKG": KnowledgeDataset}


def build(values, model="CFKG", name="small", **extra):
    return DATASET[model](Config(model, name, config_dict={**values, **extra}))


def files(tmp_path):
    return sorted((tmp_path / ".cache/small").glob("*"))


def same(left, right):
    """Whether two values are equal, whatever they are made of."""
    if isinstance(left, pd.DataFrame):
        pd.testing.assert_frame_equal(left.reset_index(drop=True), right.reset_index(drop=True))
    elif isinstance(left, np.ndarray):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)
    elif isinstance(left, dict):
        assert list(left) == list(right)
        for key in left:
            same(left[key], right[key])
    else:
        assert left == right


def same_dataset(left, right):
    assert type(left) is type(right)
    attributes = set(vars(left)) - {"config", "logger"}
    assert attributes == set(vars(right)) - {"config", "logger"}
    for name in attributes:
        same(getattr(left, name), getattr(right, name))


class Unread(Exception):
    """Raised where text is parsed although a cache is there."""


@pytest.fixture
def no_parsing(monkeypatch):
    """After a call of this, nothing can be parsed any more."""
    def forbid():
        def fail(*_):
            raise Unread
        monkeypatch.setattr(GeneralDataset, "_load_feat", fail)
        monkeypatch.setattr(KnowledgeDataset, "_load_feat", fail)
    return forbid


@pytest.mark.parametrize("model", ["BPR", "CFKG"])
def test_a_cached_dataset_equals_a_parsed_one(tmp_path, model, no_parsing):
    values = write_small(tmp_path)
    plain = build(values, model, cache_dataset=False)
    assert files(tmp_path) == []
    first = build(values, model)
    no_parsing()
    second = build(values, model)
    with pytest.raises(Unread):
        build(values, model, cache_dataset=False)
    same_dataset(plain, first)
    same_dataset(plain, second)
    for left, right in zip(plain.build(), second.build()):
        for column in left.inter_feat.columns:
            assert torch.equal(left.inter_feat[column], right.inter_feat[column])


@pytest.mark.parametrize("model", ["BPR", "CFKG"])
@pytest.mark.parametrize("values", [
    {},
    {"load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"],
                  "user": ["user_id", "age", "gender"], "item": ["item_id", "release_year"],
                  "kg": ["head_id", "relation_id", "tail_id"],
                  "link": ["item_id", "entity_id"]},
     "threshold": {"rating": 4}, "normalize_field": ["timestamp"], "normalize_all": False,
     "kg_reverse_r": True,
     "user_inter_num_interval": "[30,inf)"},
], ids=["default", "features"])
def test_ml100k_from_the_users_cache_folder(tmp_path, monkeypatch, model, values, no_parsing):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    values = {"show_progress": False, "state": "error", **values}
    plain = build(values, model, "ml-100k", cache_dataset=False)
    same_dataset(plain, build(values, model, "ml-100k"))
    assert len(list((tmp_path / "diffkg-recbole/ml-100k").glob("*.npz"))) == 1
    assert not (Path(plain.dataset_path).parent / ".cache").exists()
    no_parsing()
    same_dataset(plain, build(values, model, "ml-100k"))


def test_missing_values_and_preloaded_weights(tmp_path, no_parsing):
    values = write_small(tmp_path)
    (tmp_path / "small/small.item").write_text(
        "item_id:token\tkind:token\tprice:float\n1\tnew\t2.5\n2\t\t\n3\told\t4\n")
    values.update(load_col={"inter": ["user_id", "item_id"],
                            "item": ["item_id", "kind", "price"]},
                  preload_weight={"kind": "price"})
    first = build(values, "BPR")
    assert first.get_preload_weight("kind")[1:].tolist() == [2.5, 4.0]
    no_parsing()
    same_dataset(build(values, "BPR"), first)


def test_an_experiment_from_the_cache_is_the_same(tmp_path, no_parsing):
    config = Config("CFKG", "small", config_dict=write_small(tmp_path))
    first = prepare(config)
    no_parsing()
    second = prepare(config)
    assert second.fingerprint == first.fingerprint
    assert second.audit == first.audit


def test_graph_controls_act_on_one_cached_graph(tmp_path, no_parsing):
    values = write_small(tmp_path)
    expected = {kg: build(values, kg=kg, cache_dataset=False).kg_feat
                for kg in ("original", "none", "random")}
    build(values, kg="random")
    no_parsing()
    for kg, triples in expected.items():
        same(build(values, kg=kg).kg_feat, triples)
    assert len(files(tmp_path)) == 1


class Reads:
    """A configuration that remembers which keys were read."""

    def __init__(self, config):
        self.config, self.keys = config, set()

    def __getitem__(self, key):
        self.keys.add(key)
        return self.config[key]

    def __getattr__(self, name):
        return getattr(self.config, name)


@pytest.mark.parametrize("values", [
    {},
    {"load_col": None, "rm_dup_inter": "first", "val_interval": {"rating": "[2,inf)"},
     "filter_inter_by_user_or_item": True, "entity_kg_num_interval": "[5,inf)",
     "numerical_features": ["timestamp"], "discretization": {"timestamp": {"method": "LD"}},
     "threshold": {"rating": 3}, "seq_len": {"class": 2}},
], ids=["default", "everything"])
@pytest.mark.parametrize("model", ["BPR", "CFKG"])
def test_every_key_that_is_read_counts(model, values):
    """A key that a dataset reads and that is missing from SETTINGS would give stale data."""
    values = {"show_progress": False, "state": "error", "cache_dataset": False, **values}
    reads = Reads(Config(model, "ml-100k", config_dict=values))
    DATASET[model](reads)
    acts_later = {"kg", "seed"}
    assert reads.keys - set(SETTINGS) - acts_later == {"dataset", "data_path", "cache_dataset"}


def test_other_settings_have_another_file(tmp_path):
    values = write_small(tmp_path)
    build(values)
    other = build(values, relation_kg_num_interval="[2,inf)")
    assert len(other.kg_feat) == 4
    assert len(build(values).kg_feat) == 5
    assert len(files(tmp_path)) == 2


def test_changed_sources_are_read_anew_and_their_old_cache_goes(tmp_path):
    values = write_small(tmp_path)
    build(values)
    before = files(tmp_path)
    source = tmp_path / "small/small.train.inter"
    stamp = source.stat()
    source.write_text(source.read_text().replace("a\t1", "a\t6"))
    os.utime(source, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))  # as large, as old
    data = build(values)
    assert data.item2entity == build(values, cache_dataset=False).item2entity
    items = data.field2id_token["item_id"][data.inter_feat["item_id"]]
    assert items[:data.file_size_list[0]].tolist() == ["2", "6", "2", "3", "4", "5"]
    assert len(files(tmp_path)) == 1
    assert files(tmp_path) != before


def test_the_graph_file_counts(tmp_path):
    values = write_small(tmp_path)
    assert len(build(values).kg_feat) == 5
    kg = tmp_path / "small/small.kg"
    kg.write_text(kg.read_text() + "y\tr1\tx\n")
    assert len(build(values).kg_feat) == 6


class Hostile:
    """Unpickling this would make a directory."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def _other_key(path):
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["description"] = np.array(str(arrays["description"]).replace('"key": "', '"key": "0'))
    np.savez(path, **arrays)


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(b"not an archive"),
    lambda path: path.write_bytes(path.read_bytes()[:-200]),
    _flip,
    _other_key,
    lambda path: zipfile.ZipFile(path, "w").close(),
    lambda path: path.write_bytes(pickle.dumps(Hostile(path.parent / "made"))),
    lambda path: np.savez(path, description=np.array(Hostile(path.parent / "made"), object)),
], ids=["empty", "garbage", "truncated", "flipped", "renamed", "hollow", "pickle", "objects"])
def test_a_damaged_or_hostile_cache_is_rebuilt(tmp_path, damage, no_parsing):
    values = write_small(tmp_path)
    expected = build(values)
    (path,) = files(tmp_path)
    damage(path)
    same_dataset(build(values), expected)
    assert not (path.parent / "made").exists()
    no_parsing()
    same_dataset(build(values), expected)


def test_warnings_are_said_again(tmp_path, caplog, no_parsing):
    values = write_small(tmp_path)
    link = tmp_path / "small/small.link"
    link.write_text(link.read_text() + "5\te1\n1\te2\n")
    build(values)
    caplog.clear()
    no_parsing()
    with caplog.at_level("WARNING"):
        build(values)
    assert "2 links repeat an item or an entity (first on line 7)" in caplog.text


def test_where_nothing_can_be_written_the_text_is_read(tmp_path):
    values = write_small(tmp_path)
    (tmp_path / ".cache").write_text("a file where the folder would be")
    same_dataset(build(values), build(values, cache_dataset=False))


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    values = write_small(tmp_path)

    def full_disk(file, **arrays):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(cache_module.np, "savez", full_disk)
    assert len(build(values).kg_feat) == 5
    assert files(tmp_path) == []


def test_sources_that_change_while_they_are_read_are_not_kept(tmp_path, monkeypatch):
    values = write_small(tmp_path)
    read = KnowledgeDataset._load_kg

    def overwritten_meanwhile(self, *arguments):
        triples = read(self, *arguments)
        with (tmp_path / "small/small.kg").open("a") as file:
            file.write("y\tr1\tx\n")
        return triples

    monkeypatch.setattr(KnowledgeDataset, "_load_kg", overwritten_meanwhile)
    assert len(build(values).kg_feat) == 5
    assert files(tmp_path) == []


def test_sequence_columns_are_not_kept(tmp_path):
    values = write_small(tmp_path)
    (tmp_path / "small/small.item").write_text(
        "item_id:token\tgenre:token_seq\n" + "".join(f"{i}\tx y\n" for i in range(1, 7)))
    data = build(values, "BPR", load_col={"inter": ["user_id", "item_id"],
                                          "item": ["item_id", "genre"]})
    assert data.num("genre") == 3
    assert files(tmp_path) == []


def test_where_the_cache_lies(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    ml = Path(Config("BPR", "ml-100k", config_dict={"state": "error"})["data_path"])
    assert cache_folder(ml) == Path("/somewhere/diffkg-recbole/ml-100k")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder(ml) == tmp_path / ".cache/diffkg-recbole/ml-100k"
    assert cache_folder(tmp_path / "data/small") == tmp_path / "data/.cache/small"


def test_the_key_names_class_settings_and_sources(tmp_path):
    values = write_small(tmp_path)
    config = Config("CFKG", "small", config_dict=values)
    other = Config("CFKG", "small", config_dict={**values, "kg_reverse_r": True})
    keys = {DatasetCache("KnowledgeDataset", config).key,
            DatasetCache("GeneralDataset", config).key,
            DatasetCache("KnowledgeDataset", other).key}
    assert len(keys) == 3
    same_key = Config("CFKG", "small", config_dict={**values, "seed": 5, "epochs": 1})
    assert DatasetCache("KnowledgeDataset", same_key).key in keys
