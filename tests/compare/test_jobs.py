from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diffkg_recbole.compare.jobs import LocalJob, LocalLauncher, last_words
from diffkg_recbole.compare.worker import main as worker_main
from diffkg_recbole.processes import available_cores
from tests.compare.planned import plan_of

ONE = "datasets: tiny\nsettings: {epochs: 2}\nmodels: BPR\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return plan_of(tmp_path_factory.mktemp("plan"), ONE).runs[0]


def job_of(run, tmp_path: Path, program: str) -> LocalJob:
    """A job around a small program instead of a training."""
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-u", "-c", program], stdin=subprocess.PIPE,
                                   stdout=output, stderr=subprocess.STDOUT,
                                   start_new_session=True)
    return LocalJob(run, process, log)


def wait_for(job: LocalJob, text: str) -> None:
    end = time.monotonic() + 20
    while text not in job.log.read_text():
        assert time.monotonic() < end, "gave up waiting"
        time.sleep(0.02)


def finish(job: LocalJob) -> int:
    end = time.monotonic() + 20
    while job.poll() is None:
        assert time.monotonic() < end, "gave up waiting"
        time.sleep(0.02)
    return job.poll()


def test_the_error_of_a_job_is_its_error_line_or_the_end_of_its_traceback(run, tmp_path):
    job = job_of(run, tmp_path, "import sys; print('error: no such data'); print('x'); sys.exit(2)")
    assert finish(job) == 2
    assert job.error() == "no such data"
    job = job_of(run, tmp_path, "1 / 0")
    assert finish(job) == 1
    assert job.error() == "ZeroDivisionError: division by zero"


def test_a_job_killed_by_the_system_says_so(run, tmp_path):
    job = job_of(run, tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert finish(job) == -signal.SIGKILL
    assert job.error() == f"ended by SIGKILL (out of memory?); see {job.log}"


def test_stop_interrupts_and_wait_stopped_kills_who_does_not_listen(run, tmp_path, monkeypatch):
    job = job_of(run, tmp_path, "import time; print('up'); time.sleep(60)")
    wait_for(job, "up")
    job.stop()
    job.wait_stopped()
    assert job.process.returncode not in (None, 0, -signal.SIGKILL)

    monkeypatch.setattr("diffkg_recbole.compare.jobs.STOP_SECONDS", 0.2)
    deaf = job_of(run, tmp_path, "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN)"
                                 "; print('up'); time.sleep(60)")
    wait_for(deaf, "up")
    deaf.stop()
    deaf.wait_stopped()
    assert deaf.process.returncode == -signal.SIGKILL


_PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-u", "-c", '''
import time
from diffkg_recbole.compare.worker import watch_parent
watch_parent()
print("up", flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
'''], stdin=subprocess.PIPE, stdout=open(sys.argv[1], "wb"), start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_worker_ends_when_its_parent_is_killed(tmp_path):
    log = tmp_path / "log"
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, str(log)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    end = time.monotonic() + 30
    while not log.exists() or "up" not in log.read_text():
        assert time.monotonic() < end, "gave up waiting"
        time.sleep(0.05)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    while "interrupted" not in log.read_text():
        assert time.monotonic() < end, f"process {child} outlived its parent"
        time.sleep(0.05)


def test_threads_are_divided_among_jobs_and_gpus_given_in_turn(run, tmp_path, monkeypatch):
    started = []

    class FakePopen:
        stdin = None

        def __init__(self, command, env, **_):
            started.append((command, env))

    monkeypatch.setattr("diffkg_recbole.compare.jobs.subprocess.Popen", FakePopen)
    launcher = LocalLauncher(tmp_path, jobs=3, gpus=2)
    for slot in range(3):
        launcher.start(run, slot)
    assert {env["OMP_NUM_THREADS"] for _, env in started} == {str(max(1, available_cores() // 3))}
    assert {env["OMP_WAIT_POLICY"] for _, env in started} == {"PASSIVE"}
    assert [command[-1] for command, _ in started] == ["--gpu_id=0", "--gpu_id=1", "--gpu_id=0"]
    assert f"--store={tmp_path}" in started[0][0]
    assert set(run.flags) <= set(started[0][0])


def test_the_worker_trains_and_records_a_command_that_can_be_repeated(monkeypatch):
    seen = {}

    def command(program):
        seen["argv"] = list(sys.argv)
        return 7

    monkeypatch.setattr("diffkg_recbole.cli.main", command)
    monkeypatch.setattr(sys, "argv", ["x"])
    with pytest.raises(SystemExit) as end:
        worker_main(["--model=BPR", "--seed=1"])
    assert end.value.code == 7
    assert seen["argv"] == ["diffkg-recbole", "train", "--model=BPR", "--seed=1"]


@pytest.mark.parametrize(("text", "words"), [
    ("", "otherwise"), ("\n\n", "otherwise"), ("a\n b \n", "b"), ("error: x\ny\n", "x"),
    ("\x1b[31merror: red\x1b[0m\n", "red")])
def test_last_words(text, words):
    assert last_words(text, "otherwise") == words
