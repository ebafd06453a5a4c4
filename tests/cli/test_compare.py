"""The command from end to end, with real trainings in real processes on the small data set."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diffkg_recbole.cli import main
from diffkg_recbole.store import RunRecord, RunStore

MIXED = """\
title: Good and bad
datasets: tiny
seeds: [1]
settings: {epochs: 2, embedding_size: 8}
models:
  - Pop
  - {model: BPR, label: broken, settings: {learner: sparse_adam}}
  - BPR
"""


def compare(path: Path, store: Path, *flags: str) -> int:
    return main(["compare", str(path), "--store", str(store), *flags])


@pytest.fixture
def mixed(tmp_path) -> Path:
    path = tmp_path / "mixed.yaml"
    path.write_text(MIXED)
    return path


def test_dry_run_lists_and_runs_nothing(mixed, tmp_path, capsys):
    assert compare(mixed, tmp_path / "runs", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "Good and bad: protocol clean, 3 runs, 0 finished" in out
    for label in ("Pop", "broken", "BPR"):
        assert any(line.split()[:4] == ["tiny", label, "1", "1"] for line in out.splitlines())
    assert "time: unknown" in out
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_what_is_missing_runs_and_a_failure_is_told(mixed, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)  # RecBole writes its log folder here
    store = tmp_path / "runs"
    assert compare(mixed, store, "--jobs", "2") == 1
    captured = capfd.readouterr()
    assert "failed: broken on tiny, seed 1, split 2020: RuntimeError" in captured.err
    assert "1 of 3 runs failed; the same command tries them again" in captured.err
    finished = {record.label: record for record in RunStore(store).records(status="finished")}
    assert set(finished) == {"Pop", "BPR"}
    assert finished["BPR"]["command"][:2] == ["diffkg-recbole", "train"]
    rows = {line.split()[1]: line.split() for line in captured.out.splitlines()
            if line.startswith("tiny")}
    assert rows["broken"][2:] == ["0", "-", "-"]
    assert rows["BPR"][2:4] == ["1", f"{finished['BPR'].test['recall@20']:.4f}"]

    before = {label: (r.folder / "run.json").stat().st_mtime_ns for label, r in finished.items()}
    mixed.write_text(MIXED.replace("  - {model: BPR, label: broken, settings: "
                                   "{learner: sparse_adam}}\n", ""))
    assert compare(mixed, store) == 0
    out = capfd.readouterr().out
    assert "2 runs, 2 finished" in out
    assert "started" not in out
    assert before == {label: (r.folder / "run.json").stat().st_mtime_ns
                      for label, r in finished.items()}
    assert compare(mixed, store, "--dry-run") == 0
    assert "nothing is left to run" in capfd.readouterr().out


LONG = """\
datasets: tiny
seeds: [3]
settings: {epochs: 60, stopping_step: 1000, embedding_size: 8, eval_step: 1}
models: [BPR]
"""


def _epochs(store: Path) -> int:
    logs = list(store.glob("BPR-*/epochs.jsonl"))
    return len(logs[0].read_bytes().splitlines()) if logs else 0


@pytest.mark.slow
def test_killed_mid_training_it_goes_on_and_ends_as_if_nothing_had_happened(
        tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "long.yaml"
    path.write_text(LONG)
    store, whole = tmp_path / "runs", tmp_path / "whole"
    command = [sys.executable, "-m", "diffkg_recbole", "compare", str(path), "--store", str(store)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while _epochs(store) < 3:
        assert process.poll() is None
        assert time.monotonic() < end, "gave up waiting"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (folder,) = store.glob("BPR-*")
    while RunRecord(folder).status == "running":  # the worker notices that its parent is gone
        assert time.monotonic() < end, "the worker outlived its parent"
        time.sleep(0.05)
    assert RunRecord(folder).status == "interrupted"
    done = _epochs(store)
    assert done < 60

    assert compare(path, store) == 0
    assert compare(path, whole) == 0
    resumed, = RunStore(store).records()
    straight, = RunStore(whole).records()
    assert resumed.folder.name == straight.folder.name == folder.name
    assert [row["epoch"] for row in resumed.epochs()] == list(range(60))
    assert "going on after epoch" in next((store / ".logs").iterdir()).read_text()
    assert resumed.test == straight.test
    assert [r["losses"] for r in resumed.epochs()] == [r["losses"] for r in straight.epochs()]


@pytest.mark.parametrize(("text", "flags", "said"), [
    ("datasets: tiny\nmodels: [BRP]\nprotocol: x\n", [], "2 problems; nothing was run"),
    (None, [], "comparison file not found"),
    (MIXED, ["--ray-address", "http://head:8265"], "is the address of a dashboard"),
])
def test_user_errors_have_status_2_and_run_nothing(tmp_path, capsys, text, flags, said):
    path = tmp_path / "c.yaml"
    if text is not None:
        path.write_text(text)
    assert compare(path, tmp_path / "runs", *flags) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("flag", [["--jobs", "0"], ["--jobs", "two"], ["--job", "2"]])
def test_wrong_flags_have_status_2(mixed, tmp_path, flag):
    with pytest.raises(SystemExit) as ended:
        compare(mixed, tmp_path, *flag)
    assert ended.value.code == 2
