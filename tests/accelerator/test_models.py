"""Every model on a device that is none: training, generation, evaluation, resuming.

The device raises where tensors of two places meet, so that a run that ends has mixed nothing; it
counts the waits; and as it computes with the CPU's kernels and random numbers, the models must
come to the CPU's results. It cannot follow autocast (``test_autocast.py`` runs that on the CPU)
nor code that asks a CSR tensor for its layout (``tests/model/test_sparse.py`` compares those
products with dense ones); and it cannot show that a GPU has a kernel, or enough memory.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from diffkg_recbole.config import Config
from diffkg_recbole.quick_start import Experiment, prepare
from tests.accelerator.device import Accelerator
from tests.test_every_model import COMMON, MODELS, Case, named, scores_of
from tests.tiny_models import QUIET

DIFFKG = {"rebuild_k": 20}
# Waits in a step of training, of models whose step in RecBole's class asks the device for sizes
# (RippleNet, MCCLK: of their own distinct nodes) or uploads something. All others: none.
STEP_WAITS = {"GCMC": 5, "MultiVAE": 1, "DiffRec": 12, "KGCN": 2, "KGNNLS": 2, "MCCLK": 7,
              "RippleNet": 2}
# Waits in an epoch outside of its steps: two for the sum of a pass's losses (one asks for NaN),
# and what an epoch builds anew: views, attention, the denoised graph.
EPOCH_WAITS = {"SGL": 8, "KGAT": 15, "MKR": 4, "DiffKG": 32, "KGCL": 26}
BUILDS_PATTERNS = ("model/sparse.py", "model/graph.py")


def experiment(name: str, device: Any, **settings: Any) -> Experiment:
    config = Config(name, "tiny", config_dict={**QUIET, **COMMON, **settings})
    config.final_config_dict["device"] = torch.device(device)
    return prepare(config)


def trainer_of(exp: Experiment) -> Any:
    trainer = exp.build_trainer(exp.build_model())
    trainer.last_file = Path(exp.config["checkpoint_dir"]) / "last.pth"
    return trainer


def counted(trainer: Any, method: str, accelerator: Accelerator) -> list[Counter[str]]:
    """The waits of each call of a trainer's method, once it is called."""
    inner, calls = getattr(trainer, method), []

    def call(*arguments: Any, **named: Any) -> Any:
        with accelerator.counting() as waits:
            result = inner(*arguments, **named)
        calls.append(waits)
        return result

    setattr(trainer, method, call)
    return calls


def everything(losses: Any) -> list[float]:
    return list(losses) if isinstance(losses, tuple) else [losses]


@pytest.mark.parametrize("case", MODELS, **named)
def test_a_model_does_elsewhere_what_it_does_on_the_cpu(case: Case, accelerator, tmp_path):
    """Two epochs, the second by another trainer from the first one's checkpoint."""
    settings = {**case.settings, "train_batch_size": 512, "checkpoint_dir": str(tmp_path)}
    settings.pop("epochs", None)
    if case.name == "DiffKG":
        settings.update(DIFFKG)
    here = experiment(case.name, "cpu", **settings, epochs=2)
    cpu = trainer_of(here)
    cpu.fit(here.train_data, here.valid_data)
    wanted = cpu.evaluate(here.test_data)

    first = trainer_of(exp := experiment(case.name, accelerator.device, **settings, epochs=1))
    first.fit(exp.train_data, exp.valid_data)
    second = trainer_of(exp := experiment(case.name, accelerator.device, **settings, epochs=2))
    second.saved_model_file = first.saved_model_file
    second.resume_checkpoint(first.last_file)
    steps = counted(second, "_step", accelerator)
    epochs = counted(second, "_train_epoch", accelerator)
    second.fit(exp.train_data, exp.valid_data)
    found = second.evaluate(exp.test_data)

    assert list(second.train_loss_dict) == list(cpu.train_loss_dict)
    for epoch, losses in cpu.train_loss_dict.items():
        assert everything(second.train_loss_dict[epoch]) == pytest.approx(
            everything(losses), rel=1e-4)
    assert dict(found) == pytest.approx(dict(wanted), abs=0.01)
    users = torch.arange(1, 30, device=accelerator.device)
    torch.testing.assert_close(scores_of(second.model.eval(), users).cpu(),
                               scores_of(cpu.model.eval(), users.cpu()), rtol=1e-3, atol=1e-2)
    assert all(p.device == accelerator.device for p in second.model.parameters())

    if not steps:  # a model of one epoch
        assert cpu.epochs == 1
        return
    for line, _ in (steps[0] - steps[-1]).items():  # the first step meets the epoch's graph
        assert line.split(" at ")[1].startswith(BUILDS_PATTERNS)
    for waits in steps[1:]:
        assert sum(waits.values()) == STEP_WAITS.get(case.name, 0), waits
    (epoch,) = epochs
    around = epoch - sum(steps, Counter())
    assert sum(around.values()) == EPOCH_WAITS.get(case.name, 2), around


@pytest.mark.parametrize("name", ["LightGCN", "KGAT", "KGCL", "DiffKG"])
def test_the_waits_of_an_epoch_do_not_grow_with_its_steps(name, accelerator, tmp_path):
    counts, lengths = [], []
    for batch_size in (1024, 128):
        exp = experiment(name, accelerator.device, checkpoint_dir=str(tmp_path),
                         train_batch_size=batch_size, **(DIFFKG if name == "DiffKG" else {}))
        trainer = trainer_of(exp)
        steps = counted(trainer, "_step", accelerator)
        with accelerator.counting() as waits:
            trainer._train_epoch(exp.train_data, 0)
        counts.append(waits)
        lengths.append(len(steps))
    assert lengths[0] < lengths[1]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("sampling_steps", [0, 2])
def test_the_waits_of_the_diffusion_do_not_grow_with_its_batches(
        sampling_steps, accelerator, tmp_path):
    """The denoiser's steps, and the blocks of rows that are generated."""
    counts = []
    for size in (20, 60):
        exp = experiment("DiffKG", accelerator.device, checkpoint_dir=str(tmp_path), **DIFFKG,
                         denoiser_hidden_sizes=[16], diffusion_batch_size=size,
                         sampling_steps=sampling_steps)
        trainer = trainer_of(exp)
        network = trainer.model.network
        assert len(network.diffusion_parts(network.n_rows)) > 1
        with accelerator.counting() as training:
            trainer.train_denoiser(network.draws.row_order(network.n_rows), 0)
        with accelerator.counting() as generating:
            trainer.rebuild_graph(0)
        counts.append((training, generating))
    (few_training, few_generating), (many_training, many_generating) = counts
    assert few_training == many_training
    assert few_generating == many_generating


def test_a_batch_of_users_is_evaluated_with_few_waits(accelerator, tmp_path):
    """Sending it, finding equal scores, and fetching lists, hits and counts."""
    exp = experiment("LightGCN", accelerator.device, checkpoint_dir=str(tmp_path))
    with accelerator.counting() as waits:
        trainer_of(exp).evaluate(exp.test_data, load_best_model=False)
    assert len(exp.test_data) == 1
    assert sum(w for line, w in waits.items() if "evaluat" in line) <= 12, waits
