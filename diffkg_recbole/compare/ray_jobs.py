"""Runs as jobs of a Ray cluster, through Ray's HTTP interface for jobs.

RecBole requires ray <= 2.6.3, which needs ``pkg_resources`` (gone in setuptools 82) to be
imported and ``numpy.bool8`` (gone in NumPy 2) for ``ray.tune``. The cluster need not run that
version, and nothing is imported here: Ray's job interface is plain HTTP. Ray decides where and
when a run is done.

The nodes need this package in the same place (``python`` below) and the store and the data on a
file system that they share with this machine.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from diffkg_recbole.compare.jobs import last_words
from diffkg_recbole.compare.planned import PlannedRun
from diffkg_recbole.errors import UserError

_DONE = {"SUCCEEDED": 0, "FAILED": 1, "STOPPED": 130}
_TIMEOUT_SECONDS = 30.0
_PATIENCE_SECONDS = 120.0


class RayLauncher:
    """Submits each run as a Ray job.

    Args:
        address: of the cluster's dashboard, such as ``http://head:8265``.
        store: folder of run folders, shared with the nodes.
        cpus: cores reserved, and threads used, for a run.
        gpus: GPUs reserved for a run; may be a fraction.
        python: interpreter on the nodes that has this package.

    Raises:
        UserError: the address does not answer as Ray does.
    """

    def __init__(
        self, address: str, store: Path, *, cpus: int = 1, gpus: float = 0.0,
        python: str = sys.executable,
    ) -> None:
        if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
            raise UserError(f"'{address}' is no address of a Ray dashboard; expected for example "
                            "http://head:8265 (the port of Ray's dashboard, not of ray.init)")
        self.address, self.store = address.rstrip("/"), store.resolve()
        self.cpus, self.gpus, self.python = cpus, gpus, python
        try:
            self.version = str(self.request("GET", "/api/version")["ray_version"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"no Ray dashboard answers at {address} ({error})") from None

    def start(self, run: PlannedRun, slot: int) -> RayJob:
        """Submit a run; a job of an earlier call that still works on it is taken over.

        Raises:
            UserError: the cluster refuses the job or does not answer.
        """
        number = job_name(run, self.store)
        try:
            known = self.find(number)
            if known is not None and known["status"] in _DONE:
                self.request("DELETE", f"/api/jobs/{number}")
            if known is None or known["status"] in _DONE:
                self.request("POST", "/api/jobs/", self._submission(run, number))
        except urllib.error.HTTPError as error:
            said = last_words(error.read().decode(errors="replace"), str(error))
            raise UserError(f"the Ray cluster refused a job: {said}") from None
        except OSError as error:
            raise UserError(f"no answer from the Ray cluster at {self.address} ({error})") from None
        return RayJob(run, self, number)

    def _submission(self, run: PlannedRun, number: str) -> dict[str, Any]:
        flags = [*run.flags, f"--store={self.store}", "--show_progress=False"]
        command = [self.python, "-m", "diffkg_recbole.compare.worker", *flags]
        return {
            "entrypoint": f"cd {shlex.quote(str(Path.cwd()))} && {shlex.join(command)}",
            "submission_id": number,
            "entrypoint_num_cpus": self.cpus,
            "entrypoint_num_gpus": self.gpus,
            "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(self.cpus)}},
            "metadata": {"run": f"{run.label}, {run.dataset}, seed {run.seed}"},
        }

    def find(self, number: str) -> dict[str, Any] | None:
        """What Ray knows of a job, None if nothing."""
        try:
            return self.request("GET", f"/api/jobs/{number}")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One call of the HTTP interface.

        Raises:
            OSError: no answer, or one that tells of an error.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data=data, method=method,
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
            return json.loads(answer.read() or b"null")


class RayJob:
    """A run as a Ray job."""

    def __init__(self, run: PlannedRun, cluster: RayLauncher, number: str) -> None:
        self.run, self.cluster, self.number = run, cluster, number
        self._last_answer = time.monotonic()
        self._message = ""

    def poll(self) -> int | None:
        """Exit status, None while it works; a short silence of the cluster is forgiven.

        Raises:
            UserError: the cluster has not answered for two minutes.
        """
        try:
            state = self.cluster.find(self.number)
        except OSError as error:
            if time.monotonic() - self._last_answer > _PATIENCE_SECONDS:
                raise UserError(f"the Ray cluster at {self.cluster.address} stopped answering "
                                f"({error}); the same command goes on when it is back") from None
            return None
        self._last_answer = time.monotonic()
        if state is None:
            self._message = "Ray has forgotten the job"
            return 1
        self._message = state.get("message") or ""
        return _DONE.get(state["status"])

    def stop(self) -> None:
        """Ask Ray to stop the job."""
        try:
            self.cluster.request("POST", f"/api/jobs/{self.number}/stop", {})
        except OSError as error:
            print(f"warning: job {self.number} could not be stopped ({error})", file=sys.stderr)

    def wait_stopped(self) -> None:
        """Return at once: Ray ends the job by itself."""

    def error(self) -> str:
        """The last thing the run said, or what Ray says of it."""
        try:
            logs = self.cluster.request("GET", f"/api/jobs/{self.number}/logs")["logs"]
        except (OSError, KeyError, TypeError):
            logs = ""
        return last_words(logs, self._message or "Ray says nothing")


def job_name(run: PlannedRun, store: Path) -> str:
    """The same for the same run and store, so that a second call finds the first one's job."""
    digest = hashlib.sha256(f"{store}\n{run.dataset}\n{run.key}".encode()).hexdigest()
    return f"diffkg-recbole-{digest[:20]}"
