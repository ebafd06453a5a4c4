from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest
import torch

import diffkg_recbole
from diffkg_recbole.plain import plain
from diffkg_recbole.store import code_state, environment


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
