"""Losses and scores that are not finite end a run before a metric is made of them."""

from __future__ import annotations

import pytest
import torch

from diffkg_recbole.errors import DivergedError
from diffkg_recbole.quick_start import run_recbole
from diffkg_recbole.store import RunStore
from diffkg_recbole.trainer.finite import LossSums, largest_norm
from tests.tiny_models import QUIET, experiment


def test_the_first_bad_step_and_its_term_are_named() -> None:
    sums = LossSums(["bpr", "l2"])
    for step in ([1.0, 1.0], [1.0, float("inf")], [float("nan"), 1.0]):
        sums.add(torch.tensor(step))
    with pytest.raises(DivergedError, match=r"epoch 4, step 2: the term 'l2'"):
        sums.check(sums.total, 4, torch.nn.Linear(2, 2))


def test_finite_losses_are_added_up() -> None:
    sums = LossSums(["a"])
    for value in (1.0, 2.5):
        sums.add(torch.tensor([value]))
    sums.check(sums.total, 0, torch.nn.Linear(2, 2))
    assert sums.total.tolist() == [3.5]


def test_the_largest_norm_is_that_of_the_broken_parameter() -> None:
    model = torch.nn.Linear(2, 2)
    assert "weight" in largest_norm(model) or "bias" in largest_norm(model)
    with torch.no_grad():
        model.bias[0] = float("nan")
    assert "bias (nan)" in largest_norm(model)


@pytest.mark.parametrize("model", ["BPR", "LightGCN", "KGAT", "KGCL", "DiffKG"])
def test_no_metric_is_made_of_infinite_numbers(model: str, tmp_path) -> None:
    settings = {**QUIET, "learning_rate": 1e30, "epochs": 2,
                "checkpoint_dir": str(tmp_path / "saved")}
    with pytest.raises(DivergedError, match=r"epoch \d.*largest norm is that of"):
        run_recbole(model, "tiny", config_dict=settings, store=tmp_path / "runs")
    [record] = RunStore(tmp_path / "runs").records()
    assert record.status == "failed"
    assert "diverged" in record["error"].lower()
    assert not record.test


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("mode", ["full", "uni10"])
def test_one_bad_score_is_enough(broken: float, mode: str) -> None:
    if mode != "full" and broken < 0:
        pytest.skip("items that were not drawn are -inf, too")
    exp = experiment("BPR", eval_args={"mode": mode}) if mode == "full" else experiment(
        "BPR", eval_args={"split": {"RS": [0.8, 0.1, 0.1]}, "mode": mode})
    model = exp.build_model()
    trainer = exp.build_trainer(model)
    assert trainer.evaluate(exp.valid_data, load_best_model=False)
    with torch.no_grad():
        model.user_embedding.weight[1:].fill_(broken)
    with pytest.raises(DivergedError, match="scores are infinite or not a number"):
        trainer.evaluate(exp.valid_data, load_best_model=False)
