"""Somebody else's files never run code: each place where a pickle could stand holds one."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

import diffkg_recbole
from converters.safe_pickle import Malformed
from diffkg_recbole.errors import DataError, UserError

ROOT = Path(__file__).parents[2]
DATA = str(ROOT / "atomic_data")


class Planted:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    store = tmp_path_factory.mktemp("store")
    diffkg_recbole.run("BPR", "tiny", config_dict={
        "data_path": DATA, "epochs": 1, "use_gpu": False, "show_progress": False}, store=store)
    return store


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "runs")
    shutil.copytree(Path(DATA) / "tiny", tmp_path / "data" / "tiny")
    return tmp_path


def watched(folder: Path, *words: str) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [sys.executable, "-m", "tests.security.watched", str(folder), *words], cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "HOME": str(folder)},
        capture_output=True, text=True, timeout=300)
    assert "FOUND []" in done.stdout, done.stdout + done.stderr
    assert not (folder / "ran").exists()
    assert "Traceback" not in done.stderr, done.stderr
    return done


def _run(folder: Path) -> Path:
    return next(path for path in (folder / "runs").iterdir() if not path.name.startswith("."))


def test_the_hook_sees_what_it_shall_see(folder):
    """Without this, a hook that is deaf would pass every test."""
    bomb = pickle.dumps(Planted(folder / "ran"))
    code = (f"import pickle\nfrom tests.security import watched\nimport diffkg_recbole.cli as cli\n"
            f"cli.main = lambda words: pickle.loads({bomb!r}) and 0\n"
            f"watched.main({str(folder)!r}, [])")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, "TMPDIR": str(folder)})
    assert "pickle.find_class" in done.stdout
    assert "os.system" in done.stdout
    assert (folder / "ran").exists()


@pytest.mark.slow
@pytest.mark.parametrize("words", [
    ("runs", "list"), ("runs", "show", "BPR"), ("runs", "verify", "BPR"), ("report", "runs")])
def test_a_foreign_run_folder(folder, words):
    """Checkpoint, configuration and everything beside them are hostile."""
    run = _run(folder)
    bomb = pickle.dumps(Planted(folder / "ran"))
    (folder / "planted.pth").write_bytes(bomb)
    configuration = yaml.safe_load((run / "config.yaml").read_text())
    configuration.update(model="FM", dataset_save_path=str(folder / "planted.pth"),
                         dataloaders_save_path=str(folder / "planted.pth"))
    (run / "config.yaml").write_text(yaml.safe_dump(configuration))
    state = torch.load(run / "model.pth", weights_only=True)
    state["config"].update(configuration)
    torch.save(state, run / "model.pth")
    for name in ("saved/tiny-Dataset.pth", "saved/tiny-GeneralDataset.pth"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(bomb)
    watched(folder, *(run.name if word == "BPR" else word for word in words),
            *(("--store", "runs") if words[0] == "runs" else ("--out", "page")))


@pytest.mark.slow
@pytest.mark.parametrize("target", ["model.pth", "users.parquet", "run.json"])
def test_a_pickle_in_place_of_a_file_of_a_run(folder, target):
    (_run(folder) / target).write_bytes(pickle.dumps(Planted(folder / "ran")))
    done = watched(folder, "runs", "verify", _run(folder).name, "--store", "runs")
    assert done.returncode in (1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("words", [
    ("--dataset_save_path=planted.pth",), ("--dataloaders_save_path=planted.pth",),
    ("--epochs=__import__('os').system('touch ran')",), ("--config_files=own.yaml",),
    ("--model=os:system",), ("--preload_weight={'a': __import__('os').system('touch ran')}",)])
def test_words_of_a_command_line_and_files_they_name(folder, words):
    (folder / "planted.pth").write_bytes(pickle.dumps(Planted(folder / "ran")))
    (folder / "own.yaml").write_text("epochs: !!python/object/apply:os.system ['touch ran']\n")
    model = () if words[0].startswith("--model") else ("--model=BPR",)
    done = watched(folder, "train", *model, "--dataset=tiny", "--data_path=data", "--epochs=1",
                   *words) if not words[0].startswith("--epochs") else watched(
        folder, "train", *model, "--dataset=tiny", "--data_path=data", *words)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")


@pytest.mark.slow
def test_a_foreign_dataset_folder_with_a_cached_parse(folder):
    """The first training writes a cache; a pickle takes its place and is not read."""
    words = ("train", "--model=Pop", "--dataset=tiny", "--data_path=data", "--epochs=1",
             "--show_progress=False", "--store=runs")
    watched(folder, *words)
    cached = list(folder.rglob("*.npz"))
    assert cached
    for path in cached:
        path.write_bytes(pickle.dumps(Planted(folder / "ran")))
    watched(folder, *words, "--seed=7")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["trnMat.pkl", "tstMat.pkl"])
def test_the_authors_pickles(folder, name):
    source = folder / "source"
    source.mkdir()
    for file in ("trnMat.pkl", "tstMat.pkl"):
        (source / file).write_bytes(pickle.dumps(Planted(folder / "ran")))
    (source / "kg.txt").write_text("0 0 1\n")
    done = watched(folder, "convert", "authors", str(source), "made")
    assert done.returncode == 2


@pytest.mark.slow
def test_a_comparison_and_a_space(folder):
    text = "datasets: !!python/object/apply:os.system ['touch ran']\nmodels: [BPR]\n"
    (folder / "c.yaml").write_text(text)
    assert watched(folder, "compare", "c.yaml").returncode == 2
    (folder / "s.yaml").write_text("learning_rate: !!python/name:os.system\n")
    assert watched(folder, "tune", "--model=BPR", "--dataset=tiny", "--data_path=data",
                   "--space=s.yaml", "--trials=1", "--epochs=1").returncode == 2


def test_a_small_pickle_stays_small():
    """Shared tuples that would be a text of 2**40 letters are not written out."""
    import numpy as np

    from converters.safe_pickle import _array_of

    shape: tuple = (1,)
    for _ in range(40):
        shape = (shape, shape)
    for wrong in (shape, (1,) * 100_000, (2**70,), (-1,), ("x",)):
        with pytest.raises(Malformed) as error:
            _array_of(b"", np.dtype("f4"), wrong, "C")
        assert len(str(error.value)) < 2_000


def test_a_run_of_an_unknown_model_is_refused(folder):
    run = _run(folder)
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "model": "os:system"}))
    state = torch.load(run / "model.pth", weights_only=True)
    state["config"]["model"] = "os:system"
    torch.save(state, run / "model.pth")
    with pytest.raises((UserError, DataError)):
        diffkg_recbole.load_data_and_model(str(run / "model.pth"))
