"""The memory of a run, planned from sizes: near what is measured, and held against what is free."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from diffkg_recbole import memory_plan
from diffkg_recbole.config import Config
from diffkg_recbole.errors import UserError
from diffkg_recbole.quick_start import run_recbole
from tests.tiny_models import QUIET, experiment

ROOT = Path(__file__).parents[2]
_MEASURE = """
import sys, tempfile, threading, time
import psutil
from diffkg_recbole import memory_plan
from diffkg_recbole.config import Config
from diffkg_recbole.quick_start import prepare
from tests.tiny_models import QUIET
model, settings = sys.argv[1], eval(sys.argv[2])
config = Config(model, "tiny", None, {**QUIET, "epochs": 1, "train_batch_size": 32,
                                      "checkpoint_dir": tempfile.mkdtemp(), **settings})
made, process, peak = prepare(config), psutil.Process(), [0]
before = process.memory_info().rss
def watch():
    while True:
        peak[0] = max(peak[0], process.memory_info().rss)
        time.sleep(0.002)
threading.Thread(target=watch, daemon=True).start()
trainer = made.build_trainer(made.build_model())
trainer.fit(made.train_data, made.valid_data, show_progress=False)
trainer.evaluate(made.test_data)
planned = sum(term.bytes for term in memory_plan.plan(config, made.dataset))
print(planned / (peak[0] - before))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("model", "settings"), [
    ("BPR", {"embedding_size": 40_000}),
    ("LightGCN", {"embedding_size": 30_000}),
    ("KGAT", {"embedding_size": 20_000, "layers": [64], "kg_embedding_size": 64}),
    ("DiffKG", {"denoiser_hidden_sizes": [5_000], "train_batch_size": 256}),
    ("MultiVAE", {"mlp_hidden_size": [60_000]}),
    ("KGCN", {"embedding_size": 4_000}),
])
def test_the_plan_is_right_within_a_factor_of_two_and_a_half(model, settings):
    """Widths so large that the process itself does not count beside them."""
    done = subprocess.run([sys.executable, "-c", _MEASURE, model, repr(settings)], cwd=ROOT,
                          capture_output=True, text=True, check=True)
    assert 0.4 < float(done.stdout.split()[-1]) < 2.5


def _sizes(**sizes) -> SimpleNamespace:
    """A dataset of these sizes, which holds nothing."""
    return SimpleNamespace(user_num=1000, item_num=sizes.get("items", 1000),
                           entity_num=sizes.get("entities", 1000), relation_num=10,
                           kg_feat=range(5_000_000), inter_feat=range(1_000_000))


@pytest.mark.parametrize(("model", "sizes", "keys"), [
    ("DiffKG", {"entities": 2_000_000}, "denoiser_hidden_sizes"),
    ("EASE", {"items": 1_000_000}, "item_inter_num_interval"),
    ("KGAT", {"entities": 2_000_000_000}, "embedding_size"),
])
def test_what_cannot_fit_is_refused_with_the_keys_that_help(model, sizes, keys, monkeypatch):
    monkeypatch.setattr(memory_plan, "free_bytes", lambda device: 24_000_000_000)
    config = Config(model, "tiny", None, QUIET)
    with pytest.raises(UserError, match=rf"needs about .* GB of memory.*{keys}.*--force"):
        memory_plan.check(config, _sizes(**sizes))
    forced = Config(model, "tiny", None, {**QUIET, "memory_check": False})
    assert "GB" in memory_plan.check(forced, _sizes(**sizes))


def test_a_run_is_refused_before_its_model_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_plan, "free_bytes", lambda device: 1000)
    monkeypatch.setattr("diffkg_recbole.quick_start.Experiment.build_model",
                        lambda self: pytest.fail("the model was made"))
    with pytest.raises(UserError, match="BPR on 'tiny' needs about"):
        run_recbole("BPR", "tiny", config_dict=QUIET, store=tmp_path)


def test_every_model_has_a_plan():
    for model in ("BPR", "NeuMF", "DiffRec", "RippleNet", "KGNNLS", "Pop", "GCMC", "DiffKG"):
        exp = experiment(model)
        terms = memory_plan.plan(exp.config, exp.dataset)
        assert [t.bytes for t in terms] == sorted((t.bytes for t in terms), reverse=True)
        assert all(term.bytes >= 0 for term in terms)


@pytest.mark.parametrize(("lines", "files", "free"), [
    ("0::/a/b\n", {"a/memory.max": "1000", "a/memory.current": "400", "a/b/memory.max": "max",
                   "a/b/memory.current": "100"}, [600]),
    ("5:memory,cpu:/x\n1:name=systemd:/y\n", {
        "memory/x/memory.limit_in_bytes": "900", "memory/x/memory.usage_in_bytes": "1000"}, [0]),
    ("0::/none\n", {}, []),
])
def test_the_limits_of_control_groups(tmp_path, lines, files, free):
    membership = tmp_path / "membership"
    membership.write_text(lines)
    root = tmp_path / "cgroup"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    assert list(memory_plan._control_groups(root, membership)) == free


def test_what_is_free_is_measured():
    assert memory_plan.free_bytes(torch.device("cpu")) > 0
