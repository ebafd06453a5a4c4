"""The Ray launcher against a server that answers as Ray 2.60 was seen to answer."""

from __future__ import annotations

import json
import shlex
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from diffkg_recbole.compare.ray_jobs import RayLauncher, job_name
from diffkg_recbole.errors import UserError
from tests.compare.planned import plan_of


class FakeRay(ThreadingHTTPServer):
    """Jobs by submission id; the test moves them from state to state."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.jobs: dict[str, dict] = {}
        self.asked: list[tuple[str, str]] = []
        self.logs = ""

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: FakeRay

    def log_message(self, *_):
        pass

    def _answer(self, code, body):
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _handle(self):
        self.server.asked.append((self.command, self.path))
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        parts = self.path.strip("/").split("/")
        jobs = self.server.jobs
        if self.path == "/api/version":
            return self._answer(200, {"version": "4", "ray_version": "2.60.0"})
        if self.command == "POST" and self.path == "/api/jobs/":
            if body["submission_id"] in jobs:
                return self._answer(500, "already exists")
            jobs[body["submission_id"]] = {**body, "status": "PENDING", "message": None}
            return self._answer(200, {"submission_id": body["submission_id"]})
        if parts[2] not in jobs:
            return self._answer(404, "job does not exist")
        if self.command == "DELETE":
            del jobs[parts[2]]
            return self._answer(200, {"deleted": True})
        if parts[-1] == "logs":
            return self._answer(200, {"logs": self.server.logs})
        if parts[-1] == "stop":
            jobs[parts[2]]["status"] = "STOPPED"
            return self._answer(200, {"stopped": True})
        return self._answer(200, jobs[parts[2]])

    do_GET = do_POST = do_DELETE = _handle


@pytest.fixture
def ray():
    server = FakeRay()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def run(tmp_path):
    return plan_of(tmp_path, "datasets: tiny\nmodels:\n - {model: BPR, label: a 'b'}\n").runs[0]


def test_a_run_is_submitted_with_what_ray_needs_to_know(ray, run, tmp_path):
    launcher = RayLauncher(ray.address + "/", tmp_path, cpus=4, gpus=0.5, python="/env/python")
    assert launcher.version == "2.60.0"
    job = launcher.start(run, 0)
    (body,) = ray.jobs.values()
    assert body["submission_id"] == job_name(run, tmp_path)
    assert (body["entrypoint_num_cpus"], body["entrypoint_num_gpus"]) == (4, 0.5)
    assert body["runtime_env"] == {"env_vars": {"OMP_NUM_THREADS": "4"}}
    command = shlex.split(body["entrypoint"].split(" && ")[1])
    assert command[:3] == ["/env/python", "-m", "diffkg_recbole.compare.worker"]
    assert set(run.flags) <= set(command)
    assert f"--store={tmp_path}" in command
    assert "--watch" not in command  # Ray ends its jobs itself
    assert job.poll() is None


@pytest.mark.parametrize(("status", "code"), [
    ("PENDING", None), ("RUNNING", None), ("SUCCEEDED", 0), ("FAILED", 1), ("STOPPED", 130)])
def test_states_of_a_job(ray, run, tmp_path, status, code):
    job = RayLauncher(ray.address, tmp_path).start(run, 0)
    ray.jobs[job.number]["status"] = status
    assert job.poll() == code


def test_a_job_at_work_is_taken_over_and_one_that_ended_is_submitted_anew(ray, run, tmp_path):
    launcher = RayLauncher(ray.address, tmp_path)
    job = launcher.start(run, 0)
    ray.jobs[job.number]["status"] = "RUNNING"
    assert RayLauncher(ray.address, tmp_path).start(run, 0).number == job.number
    assert sum(asked == ("POST", "/api/jobs/") for asked in ray.asked) == 1
    ray.jobs[job.number]["status"] = "FAILED"
    assert launcher.start(run, 0).poll() is None
    assert sum(asked == ("POST", "/api/jobs/") for asked in ray.asked) == 2


def test_the_error_is_the_runs_or_rays(ray, run, tmp_path):
    job = RayLauncher(ray.address, tmp_path).start(run, 0)
    ray.jobs[job.number].update(status="FAILED", message="the node is gone")
    assert job.poll() == 1
    assert job.error() == "the node is gone"
    ray.logs = "Running entrypoint\nerror: dataset not found\n"
    assert job.error() == "dataset not found"


def test_stopping_asks_ray(ray, run, tmp_path, capsys):
    job = RayLauncher(ray.address, tmp_path).start(run, 0)
    job.stop()
    job.wait_stopped()
    assert ray.jobs[job.number]["status"] == "STOPPED"
    ray.jobs.clear()
    job.stop()
    assert f"job {job.number} could not be stopped" in capsys.readouterr().err


def test_a_forgotten_job_has_failed(ray, run, tmp_path):
    job = RayLauncher(ray.address, tmp_path).start(run, 0)
    ray.jobs.clear()
    assert job.poll() == 1
    assert job.error() == "Ray has forgotten the job"


def test_a_short_silence_is_forgiven_and_a_long_one_is_not(ray, run, tmp_path, monkeypatch):
    job = RayLauncher(ray.address, tmp_path).start(run, 0)

    def silent(*_):
        raise OSError("no route to host")

    monkeypatch.setattr(job.cluster, "request", silent)
    assert job.poll() is None
    monkeypatch.setattr("diffkg_recbole.compare.ray_jobs._PATIENCE_SECONDS", -1.0)
    with pytest.raises(UserError, match=r"stopped answering .no route to host."):
        job.poll()


@pytest.mark.parametrize(("address", "said"), [
    ("ray://head:10001", "is no address of a Ray dashboard"),
    ("head:6379", "is no address of a Ray dashboard"),
    ("auto", "is no address of a Ray dashboard"),
    ("http://127.0.0.1:9", "no Ray dashboard answers"),
])
def test_a_wrong_address_is_one_clear_error(tmp_path, address, said):
    with pytest.raises(UserError, match=said):
        RayLauncher(address, tmp_path)


def test_a_refused_job_and_a_silent_cluster_are_user_errors(ray, run, tmp_path, monkeypatch):
    launcher = RayLauncher(ray.address, tmp_path)
    monkeypatch.setattr(launcher, "find", lambda number: None)
    launcher.start(run, 0)
    with pytest.raises(UserError, match=r"refused a job: .already exists"):
        launcher.start(run, 0)
    monkeypatch.setattr(launcher, "address", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="no answer from the Ray cluster"):
        launcher.start(run, 0)


def test_another_server_is_not_taken_for_ray(ray, tmp_path, monkeypatch):
    monkeypatch.setattr(Handler, "_answer", lambda self, code, body: self.send_error(404))
    with pytest.raises(UserError, match="no Ray dashboard answers"):
        RayLauncher(ray.address, tmp_path)


def test_jobs_of_other_runs_and_stores_have_other_names(run, tmp_path):
    from dataclasses import replace

    names = {job_name(run, tmp_path), job_name(run, tmp_path / "b"),
             job_name(replace(run, key="other"), tmp_path)}
    assert len(names) == 3
