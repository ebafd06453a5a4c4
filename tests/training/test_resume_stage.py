"""A run that ends between its last epoch and its result goes on to the undisturbed result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from diffkg_recbole.quick_start import run_recbole
from diffkg_recbole.store import Run
from diffkg_recbole.trainer.checkpoint import load_checkpoint

ROOT = Path(__file__).parents[2]
SHORT = {"epochs": 4, "data_path": str(ROOT / "atomic_data"), "learning_rate": 0.05,
         "train_batch_size": 256, "show_progress": False}


def record_of(store: Path) -> dict:
    (path,) = store.glob("*/run.json")
    return json.loads(path.read_text())


def models_of(store: Path) -> dict:
    (path,) = store.glob("*/model.pth")
    return load_checkpoint(path)["state_dict"]


def run(model: str, store: Path, **changed) -> None:
    run_recbole(model, "tiny", config_dict={**SHORT, **changed}, store=store)


@pytest.mark.parametrize(("model", "changed"), [
    ("BPR", {}), ("LightGCN", {"stopping_step": 0, "epochs": 9}), ("KGAT", {"epochs": 2}),
    ("BPR", {"eval_step": 3}), ("BPR", {"eval_step": 0}), ("EASE", {}), ("Pop", {}),
])
def test_killed_before_its_result_a_run_tests_the_best_model(tmp_path, monkeypatch, model, changed):
    run(model, tmp_path / "undisturbed", **changed)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "finish", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run(model, tmp_path / "killed", **changed)
    assert record_of(tmp_path / "killed")["status"] == "running"
    run(model, tmp_path / "killed", **changed)
    one, two = record_of(tmp_path / "undisturbed"), record_of(tmp_path / "killed")
    for key in ("id", "epoch", "epochs_run", "valid", "test"):
        assert two[key] == one[key], key
    first, second = models_of(tmp_path / "undisturbed"), models_of(tmp_path / "killed")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_every_trained_epoch_counts_though_one_in_three_is_evaluated(tmp_path):
    run("BPR", tmp_path, eval_step=3, epochs=8)
    (log,) = tmp_path.glob("*/epochs.jsonl")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(8))
    assert [row["epoch"] for row in rows if "valid" in row] == [2, 5]
    record = record_of(tmp_path)
    assert record["epochs_run"] == 8
    trained = sum(sum(row["seconds"].values()) for row in rows)
    assert record["cost"]["seconds_total"] >= round(trained, 2)
