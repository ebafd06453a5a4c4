"""What stands between a user and the first run: versions, RecBole itself, shipped files."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from diffkg_recbole import needs_recbole, shipped_files
from diffkg_recbole.cli import main
from diffkg_recbole.needs_recbole import MissingRecBoleError, install_line, need_recbole
from diffkg_recbole.shipped_files import config_names, find_config

ROOT = Path(needs_recbole.__file__).parents[1]


def test_a_missing_recbole_is_one_sentence_with_the_line_that_helps(monkeypatch):
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(needs_recbole, "version", missing)
    with pytest.raises(MissingRecBoleError) as caught:
        need_recbole()
    assert str(caught.value) == (
        f"RecBole is not installed; diffkg-recbole needs RecBole 1.2.1: {install_line()}")
    assert isinstance(caught.value, ImportError)


def test_another_recbole_is_named(monkeypatch):
    monkeypatch.setattr(needs_recbole, "version", lambda name: "1.1.1")
    with pytest.raises(MissingRecBoleError, match=r"RecBole 1\.1\.1 is installed.* 1\.2\.1"):
        need_recbole()


@pytest.mark.parametrize(("python", "word"), [((3, 11), False), ((3, 12), True), ((3, 14), True)])
def test_the_line_is_that_of_the_interpreter(monkeypatch, python, word):
    monkeypatch.setattr(needs_recbole.sys, "version_info", python)
    assert ("--no-deps" in install_line()) == word
    assert install_line().startswith(sys.executable)


@pytest.mark.parametrize("command", [
    ["-m", "diffkg_recbole", "train"], ["-m", "diffkg_recbole", "compare", "quick"],
    ["run_recbole_diffkg.py"], ["-c", "import diffkg_recbole as d; d.run"],
    ["-c", "import diffkg_recbole.model"], ["-c", "import diffkg_recbole.quick_start"],
])
def test_without_any_package_a_command_or_import_ends_in_that_sentence(command):
    """``-S`` hides everything that is installed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-S", *command], cwd=ROOT, env=environment,
                          capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert "RecBole is not installed; diffkg-recbole needs RecBole 1.2.1: " in last
    assert last.endswith(install_line().partition(" ")[2])
    if command[0] != "-c":
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1


def test_shipped_files_are_found_by_name_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "quick" in config_names("comparisons")
    assert find_config("quick", "comparisons").read_text().startswith("# Five models")
    assert find_config("KGAT/ml-100k", "models").is_file()
    assert find_config("nothing", "comparisons") == Path("nothing")
    assert find_config("../models/KGAT/ml-100k", "comparisons") == Path("../models/KGAT/ml-100k")


def test_ones_own_file_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = Path("configs/comparisons/quick.yaml")
    own.parent.mkdir(parents=True)
    own.write_text("title: mine")
    assert find_config("quick", "comparisons") == own
    Path("quick").write_text("title: here")
    assert find_config("quick", "comparisons") == Path("quick")


def test_in_a_wheel_they_lie_inside_the_package(tmp_path, monkeypatch):
    (tmp_path / "site-packages" / "configs").mkdir(parents=True)  # somebody else's
    package = tmp_path / "site-packages" / "diffkg_recbole"
    (package / "configs").mkdir(parents=True)
    monkeypatch.setattr(shipped_files, "_PACKAGE", package)
    assert shipped_files.shipped_root() == package


@pytest.mark.parametrize("name", ["train", "compare", "tune", "runs", "report", "convert"])
def test_help_names_what_was_typed(name, capsys):
    with pytest.raises(SystemExit) if name != "convert" else _no_error():
        main([name, "--help"], program="python -m diffkg_recbole")
    said = capsys.readouterr().out
    assert f"usage: python -m diffkg_recbole {name}" in " ".join(said.split())
    assert "usage: diffkg-recbole" not in said


def _no_error():
    import contextlib

    return contextlib.nullcontext()
