"""A damaged run of a comparison is named or made anew; no wrong number, no traceback."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from diffkg_recbole.cli import main
from diffkg_recbole.compare import jobs, run_queue
from diffkg_recbole.store import RunRecord
from tests.report.damage import damages

DAMAGES = dict(damages())
TEXT = "datasets: tiny\nseeds: [1]\nsettings: {epochs: 1}\nmodels: [Pop]\n"


class _Here:
    """Trains in this process, at once."""

    def __init__(self, store: Path, *_: object) -> None:
        self.store = store

    def start(self, run, slot):
        self.run = run
        self.status = main(["train", *run.flags, f"--store={self.store}", "--show_progress=False"])
        return self

    def poll(self):
        return self.status

    def error(self):
        return "see above"

    def stop(self):
        pass

    wait_stopped = stop


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LocalLauncher", _Here)
    monkeypatch.setattr(run_queue, "POLL_SECONDS", 0.0)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the run, and the comparison beside it."""
    folder = tmp_path_factory.mktemp("intact")
    (folder / "c.yaml").write_text(TEXT)
    words = ["train", "--model=Pop", "--dataset=tiny", "--epochs=1", "--seed=1",
             "--split_seed=2020", "--show_progress=False", f"--store={folder / 'runs'}"]
    assert main(words) == 0
    return folder


def _compare(folder: Path, capsys: pytest.CaptureFixture) -> tuple[int, str, str, str]:
    """Status, the table's line, the whole output, the errors."""
    capsys.readouterr()
    status = main(["compare", str(folder / "c.yaml"), "--store", str(folder / "runs")])
    out, said = capsys.readouterr()
    (line,) = [one for one in out.splitlines() if one.startswith("tiny")]
    return status, line, out, said


def test_the_intact_run_is_not_made_again(intact, capsys):
    status, line, out, said = _compare(intact, capsys)
    assert (status, said) == (0, "")
    assert "1 runs, 1 finished" in out
    assert line.split()[2] == "1"


@pytest.mark.parametrize("name", [*DAMAGES][::2])
def test_it_is_named_or_made_anew(intact, tmp_path, name, capsys, caplog):
    _, expected, _, _ = _compare(intact, capsys)
    folder = shutil.copytree(intact, tmp_path / "copy")
    (run,) = (one for one in (folder / "runs").iterdir() if not one.name.startswith("."))
    DAMAGES[name](run)
    caplog.clear()
    status, line, out, said = _compare(folder, capsys)
    assert "Traceback" not in out + said
    if status == 0:
        assert line == expected
        assert RunRecord(run).damage() is None
    else:
        assert status == 1
        assert run.name in said
        assert line.split()[2:] == ["0", "-", "-"]


@pytest.mark.parametrize("name", ["run.json", "users.parquet", "epochs.jsonl"])
def test_a_pipe_hangs_nothing(intact, tmp_path, name, capsys):
    folder = shutil.copytree(intact, tmp_path / "copy")
    (run,) = (one for one in (folder / "runs").iterdir() if not one.name.startswith("."))
    (run / name).unlink()
    os.mkfifo(run / name)
    status, _, _, said = _compare(folder, capsys)
    assert status == 0 or run.name in said
