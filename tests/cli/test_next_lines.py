"""A ``next:`` line that a command prints works when it is pasted."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from diffkg_recbole.cli import main

DATA = Path(__file__).parents[2] / "atomic_data"


def _next_commands(out: str) -> list[list[str]]:
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("next: "))
    words = [shlex.split(line.removeprefix("next: ")) for line in lines[start:]
             if line.strip().removeprefix("next: ").startswith("diffkg-recbole")]
    return [command[1:] for command in words]


@pytest.mark.parametrize("model", ["Pop", "LightGCN"])
def test_what_a_training_suggests(tmp_path, monkeypatch, capsys, model):
    """From a folder of its own, with a blank in every path, and a store elsewhere."""
    monkeypatch.chdir(tmp_path)
    data, store = tmp_path / "my data", tmp_path / "my runs"
    shutil.copytree(DATA / "tiny", data / "own")
    for path in list((data / "own").iterdir()):
        path.rename(path.with_name(path.name.replace("tiny", "own")))
    words = ["train", f"--model={model}", "--dataset=own", f"--data_path={data}", "--store",
             str(store), "--epochs=1", "--show_progress=False",
             "--benchmark_filename=['train','valid','test']"]
    monkeypatch.setattr("sys.argv", ["diffkg-recbole", *words])
    if not (data / "own" / "own.train.inter").exists():
        words.pop()
    assert main(words) == 0
    suggested = _next_commands(capsys.readouterr().out)
    assert [command[0] for command in suggested] == ["runs", "train"]
    assert f"--model={model}" not in suggested[1]
    assert f"--data_path={data}" in suggested[1]
    for command in suggested:
        assert main(command) == 0
    assert "own" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


def test_what_a_comparison_suggests(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text("datasets: tiny\nseeds: [1]\nmodels: [Pop, ItemKNN]\n")
    assert main(["compare", "own.yaml", "--store", "my runs"]) == 0
    (command,) = _next_commands(capsys.readouterr().out)
    assert main(command) == 0
    assert list(Path("report").iterdir())
