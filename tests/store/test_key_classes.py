"""Every configuration key has a class, and does what its class says."""

import json
from pathlib import Path

import pytest
from recbole.utils import argument_list

import diffkg_recbole
from diffkg_recbole.config.model_keys import ModelKeys
from diffkg_recbole.store import RunStore, makes_result, run_id
from diffkg_recbole.store.key_classes import ATTACHED, DISPLAYED, MAKES_RESULTS, MODEL_KEYS
from tests.data.synthetic import write_synthetic
from tests.test_every_model import MODELS

CLASSES = (ATTACHED, DISPLAYED, MAKES_RESULTS, MODEL_KEYS)
KEYS = sorted({
    *(key for case in MODELS for key in ModelKeys.of(case.name)._known),
    *(key for group in ("general", "training", "evaluation", "dataset")
      for key in getattr(argument_list, f"{group}_arguments")),
})
# What a run may be told beside its result; a cheap training proves that it stays as it is.
OTHERWISE = {
    "label": "another name", "save_recommendations": False, "cache_dataset": False,
    "checkpoint_dir": "elsewhere", "use_gpu": False, "state": "WARNING", "show_progress": False,
    "loss_decimal_place": 2,
}
SETTINGS = {"epochs": 2, "embedding_size": 8, "train_batch_size": 64, "show_progress": True}


@pytest.mark.parametrize("key", KEYS)
def test_a_key_stands_in_one_table_and_counts_as_it_says(key):
    assert sum(key in table for table in CLASSES) == 1
    base, changed = ({"seed": 1, key: value} for value in ("one", "another"))
    same = run_id(base, "f", "1") == run_id(changed, "f", "1")
    assert same == (key in DISPLAYED | ATTACHED) == (not makes_result(key))


@pytest.fixture
def values(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return {**write_synthetic(tmp_path / "data"), **SETTINGS}


def trained(values, store):
    diffkg_recbole.run("BPR", "synthetic", config_dict=values, store=store)
    (record,) = RunStore(store).scan().records
    losses = [row["losses"] for row in record.epochs()]
    return record, losses


def test_what_only_displays_or_is_attached_leaves_the_result_as_it_is(values):
    assert set(OTHERWISE) <= DISPLAYED | ATTACHED
    first, losses = trained(values, "first")
    for key, value in OTHERWISE.items():
        other, other_losses = trained({**values, key: value}, f"with-{key}")
        assert other.id == first.id, key
        assert (other.test, other.valid, other_losses) == (first.test, first.valid, losses), key


@pytest.mark.parametrize(("key", "value"), [("worker", 1), ("metric_decimal_place", 2)])
def test_what_looks_harmless_makes_results(values, key, value):
    first, losses = trained(values, "first")
    other, other_losses = trained({**values, key: value}, "other")
    assert other.id != first.id
    assert (other.test, other_losses) != (first.test, losses)


def test_a_run_says_whether_it_read_the_graph_and_how_it_was_evaluated(values):
    first, _ = trained(values, "first")
    assert (first["reads_graph"], first["evaluation"], first["device"]) == (False, "full", "cpu")
    sampled = {**values, "eval_args": {"mode": "uni10"}}
    other, _ = trained(sampled, "sampled")
    assert other["evaluation"] == "uni10"
    assert other.id != first.id
    diffkg_recbole.run("CKE", "synthetic", config_dict=values, store="graph")
    (record,) = RunStore("graph").scan().records
    assert record["reads_graph"] is True
    assert len(json.loads((record.folder / "run.json").read_text())["code"]["hash"]) == 64
    assert Path(record.folder).is_dir()
