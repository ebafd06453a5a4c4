from __future__ import annotations

import importlib
import json
import shutil
import subprocess

import numpy as np
import pytest
import torch

import diffkg_recbole
from diffkg_recbole.plain import plain
from diffkg_recbole.store import code_hash, code_state, environment
from diffkg_recbole.store.environment import _PACKAGE, _WITHOUT_RESULTS


def test_environment_is_plain_and_names_what_it_ran_on():
    found = environment()
    assert json.loads(json.dumps(plain(found))) == found
    assert found["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["versions"]["numpy"] == np.__version__
    assert found["versions"]["diffkg-recbole"] == diffkg_recbole.__version__
    assert found["hardware"]["cores"] >= 1
    assert found["hardware"]["memory_mb"] > 100
    assert len(found["hardware"]["gpus"]) == torch.cuda.device_count()


@pytest.fixture
def checkout(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("needs git")

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@t", *arguments],
            check=True, capture_output=True, text=True).stdout.strip()

    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git("init")
    return package, git


def test_commit_and_changes_of_a_checkout(checkout):
    package, git = checkout
    git("add", ".")
    git("commit", "-m", "first")
    assert code_state(package) == {"version": diffkg_recbole.__version__,
                                   "commit": git("rev-parse", "HEAD"), "dirty": False}
    (package / "__init__.py").write_text("changed = 1")
    assert code_state(package)["dirty"] is True


def test_a_package_that_git_does_not_know_has_no_commit(checkout):
    package, _ = checkout
    state = code_state(package)
    assert (state["commit"], state["dirty"]) == (None, None)


def test_what_names_the_code_is_what_makes_results():
    parts = {path.name for path in _PACKAGE.iterdir()
             if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert parts - _WITHOUT_RESULTS == {
        "config", "data", "evaluation", "model", "parallel.py", "quick_start.py", "run_tables.py",
        "settings.py", "trainer"}
    assert parts | {"converters"} >= _WITHOUT_RESULTS  # a wheel holds the converters, too


def test_a_model_from_outside_is_named_by_its_own_source(tmp_path, monkeypatch):
    from diffkg_recbole.model import get_model

    own = code_hash(get_model("BPR"))
    assert own == code_hash(get_model("DiffKG")) == code_hash()
    monkeypatch.syspath_prepend(tmp_path)
    hashes = {own}
    for number in (1, 2):
        name = f"outside_{number}"
        (tmp_path / f"{name}.py").write_text(
            "from recbole.model.general_recommender import BPR\n\n\n"
            f"class Mine(BPR):\n    number = {number}\n")
        hashes.add(code_hash(importlib.import_module(name).Mine))
    assert len(hashes) == 3
