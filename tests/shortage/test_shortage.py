"""Full disks, unwritable folders, closed pipes: one sentence, and nothing is lost."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from diffkg_recbole.cli import guarded
from diffkg_recbole.errors import UserError
from diffkg_recbole.files import append_whole, replacing
from diffkg_recbole.processes import worker_environment
from diffkg_recbole.quick_start import run_recbole
from diffkg_recbole.shortage import as_user_error
from diffkg_recbole.store import RunStore
from diffkg_recbole.trainer.checkpoint import save_checkpoint
from tests.tiny_models import QUIET

ROOT = Path(__file__).parents[2]
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")


def command(*words: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "diffkg_recbole", *words], cwd=ROOT, text=True,
                          stderr=subprocess.PIPE, timeout=300, **options)


def raising(error: BaseException):
    def fail() -> int:
        raise error
    return fail


@pytest.mark.parametrize(("error", "said"), [
    (OSError(errno.ENOSPC, "x", "/a/b"), "/a/b: no space left on the device; make room"),
    (OSError(errno.EROFS, "x", "/a"), "/a: the file system is read-only"),
    (PermissionError(errno.EACCES, "x", "/a"), "/a: permission denied"),
    (OSError(errno.ENOSPC, "x"), "standard output: no space left"),
    (MemoryError(), "not enough memory"),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate"), "not enough memory"),
])
def test_a_shortage_is_one_sentence_and_status_2(error, said, capsys) -> None:
    assert guarded(raising(error)) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: {said}")
    assert shown.count("\n") == 1


def test_an_error_of_the_program_keeps_its_traceback() -> None:
    assert as_user_error(KeyError("x")) is None
    with pytest.raises(KeyError):
        guarded(raising(KeyError("x")))


@needs_full
def test_a_full_standard_output() -> None:
    with FULL.open("w") as full:
        done = command("--help", stdout=full)
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard output: no space left on the device")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_has_gone() -> None:
    read, write = os.pipe()
    os.close(read)
    done = command("--help", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_encoding_without_the_characters(tmp_path: Path) -> None:
    script = ("from diffkg_recbole.cli import guarded\n"
              "import sys\nsys.exit(guarded(lambda: print('0.5 ± 0.1 – é') or 0))")
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True,
                          env={**os.environ, "PYTHONIOENCODING": "ascii", "LANG": "C"})
    assert (done.returncode, done.stdout) == (0, b"0.5 +- 0.1 - ?\n")


def test_a_termination_ends_like_ctrl_c() -> None:
    script = ("import sys, time\nfrom diffkg_recbole.cli import guarded\n"
              "def work():\n    print('ready', flush=True)\n    time.sleep(60)\n    return 0\n"
              "sys.exit(guarded(work))")
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.startswith("interrupted; ")


def _fill(part: Path) -> None:
    part.write_text("piece")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_replaced_file_is_named_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(OSError, match="No space") as caught, replacing(path) as part:
        _fill(part)
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_line_is_appended_whole_or_not_at_all(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "log"
    append_whole(path, b"one\n")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "x")))
    with pytest.raises(OSError, match="x") as caught:
        append_whole(path, b"two\n")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"one\n"


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 300 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)],
                          capture_output=True)
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_torch_on_a_full_disk_names_the_checkpoint(small_disk: Path) -> None:
    path = small_disk / "model.pth"
    with pytest.raises(OSError, match="No space") as caught:
        save_checkpoint({"state_dict": {"a": torch.zeros(1_000_000)}}, path)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))


def test_a_run_on_a_full_disk_goes_on_when_there_is_room(small_disk: Path, tmp_path) -> None:
    filler = small_disk / "filler"
    settings = {**QUIET, "epochs": 2, "checkpoint_dir": str(tmp_path / "saved")}
    filler.write_bytes(b"x" * 150_000)
    with pytest.raises(UserError, match="no space left on the device; make room"):
        run_recbole("BPR", "tiny", config_dict=settings, store=small_disk / "runs")
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    result = run_recbole("BPR", "tiny", config_dict=settings, store=small_disk / "runs")
    other = run_recbole("BPR", "tiny", config_dict=settings, store=tmp_path / "runs")
    assert result["test_result"] == other["test_result"]
    [record] = RunStore(small_disk / "runs").records()
    assert record.finished


def test_a_store_that_cannot_be_made_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"^/proc/nowhere"):
        run_recbole("Pop", "tiny", config_dict={**QUIET, "epochs": 1}, store="/proc/nowhere")


@pytest.mark.parametrize(("given", "most"), [("1", 1), ("1,2", 1), ("", None), ("many", None)])
def test_the_users_threads_are_an_upper_bound(given, most, monkeypatch) -> None:
    monkeypatch.setattr("diffkg_recbole.processes.available_cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    found = worker_environment(2)
    assert found["OMP_NUM_THREADS"] == found["MKL_NUM_THREADS"] == str(most or 4)
    assert found["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert worker_environment(2)["OMP_WAIT_POLICY"] == "ACTIVE"
