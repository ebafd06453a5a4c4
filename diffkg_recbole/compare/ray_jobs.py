"""Runs as tasks of a Ray cluster: Ray decides where and when, and carries the files.

The nodes need this package and Ray, no shared folder: the data go out as an object of Ray, once a
node; the run folder comes back as the task's result. A Ray cluster is trusted: Ray pickles what it
carries.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from diffkg_recbole.compare.jobs import last_words
from diffkg_recbole.compare.planned import PlannedRun
from diffkg_recbole.compare.ray_files import (
    Files,
    cached,
    fingerprint,
    pack_dataset,
    pack_run,
    place_run,
)
from diffkg_recbole.errors import UserError
from diffkg_recbole.processes import THREAD_VARIABLES

_RETRIES = 5  # of a run whose node or process was lost


def import_ray() -> Any:
    """Ray of today.

    Raises:
        UserError: it is not here, or it is the old one that RecBole asks for.
    """
    try:
        import ray
    except (ImportError, AttributeError) as error:
        raise _needs_ray(str(error)) from None
    if tuple(int(part) for part in ray.__version__.split(".")[:2]) < (2, 50):
        raise _needs_ray(f"here is {ray.__version__}")
    return ray


def _needs_ray(found: str) -> UserError:
    return UserError(f"runs on a Ray cluster need Ray 2.50 or newer ({found}): pip install "
                     "'ray>=2.50'  (pip says that RecBole wants ray<=2.6.3; RecBole's training "
                     "does not use it)")


class RayLauncher:
    """Makes each run a task of a Ray cluster.

    Args:
        address: of the cluster, as ``ray.init`` takes it.
        store: folder of run folders, on this machine alone.
        cpus: cores reserved, and threads used, for a run.
        gpus: GPUs reserved for a run; may be a fraction.
        memory: bytes reserved for a run; None reserves none.

    Raises:
        UserError: no Ray of today here, or no cluster at the address.
    """

    def __init__(
        self, address: str, store: Path, *, cpus: int = 1, gpus: float = 0.0,
        memory: int | None = None,
    ) -> None:
        if address.startswith(("http://", "https://")):
            raise UserError(f"'{address}' is the address of a dashboard; expected the cluster's, "
                            "such as head:6379, ray://head:10001 or auto")
        self.ray = import_ray()
        self.store, self.cpus = store.resolve(), cpus
        if not self.ray.is_initialized():
            try:
                self.ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            except (OSError, ValueError, RuntimeError) as error:
                raise UserError(f"no Ray cluster answers at {address} ({error})") from None
        self._task = self.ray.remote(do_run).options(
            num_cpus=cpus, num_gpus=gpus, memory=memory, max_retries=_RETRIES)
        self._data: dict[Path, tuple[str, Any]] = {}

    def start(self, run: PlannedRun, slot: int) -> RayJob:
        """Hand a run to Ray."""
        name, data = self._dataset(run)
        flags = [flag for flag in run.flags if not flag.startswith("--data_path=")]
        # In a list, the object is fetched only by a node that does not have the files yet.
        return RayJob(run, self, self._task.remote(flags, run.dataset, name, [data], self.cpus))

    def _dataset(self, run: PlannedRun) -> tuple[str, Any]:
        from diffkg_recbole.config import Config

        folder = Path(Config(run.model, run.dataset, None, dict(run.settings))["data_path"])
        if folder not in self._data:
            files = pack_dataset(folder, run.dataset)
            self._data[folder] = fingerprint(files), self.ray.put(files)
        return self._data[folder]


class RayJob:
    """A run as a Ray task."""

    def __init__(self, run: PlannedRun, cluster: RayLauncher, task: Any) -> None:
        self.run, self.cluster, self.task = run, cluster, task
        self._message = "Ray says nothing"

    def poll(self) -> int | None:
        """Exit status, None while it waits or works; its folder is in the store afterwards."""
        ray = self.cluster.ray
        if not ray.wait([self.task], timeout=0)[0]:
            return None
        try:
            status, log, folders = ray.get(self.task)
        except ray.exceptions.RayError as error:
            self._message = last_words(str(error), "Ray lost the run")
            return 1
        finally:
            self.task = None  # lets Ray forget the bytes
        self._message = last_words(log, f"exit status {status}")
        for name, files in folders.items():
            place_run(name, files, self.cluster.store)
        return status

    def stop(self) -> None:
        """End the task; the run starts anew when it is asked for again."""
        if self.task is not None:
            self.cluster.ray.cancel(self.task, force=True)

    def wait_stopped(self) -> None:
        """Return at once: Ray ends the task by itself."""

    def error(self) -> str:
        """The last thing the run said, or what Ray says of it."""
        return self._message


def do_run(
    flags: list[str], dataset: str, name: str, data: list[Any], threads: int
) -> tuple[int, str, dict[str, Files]]:
    """A run, on a node.

    Args:
        flags: of ``diffkg-recbole train``.
        dataset: its name.
        name: fingerprint of its files, the key of the node's cache.
        data: its files, as one object of Ray.
        threads: for the run.

    Returns:
        Exit status, output, and the run folders made, by name.
    """
    path = _node_cache() / name / dataset
    if not path.is_dir():
        import ray

        path.parent.mkdir(exist_ok=True)
        cached(ray.get(data[0]), path)
    environment = dict(os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads)))
    with tempfile.TemporaryDirectory() as scratch:
        store = Path(scratch) / "runs"
        command = [sys.executable, "-m", "diffkg_recbole.compare.worker", "--watch", *flags,
                   f"--data_path={path.parent}", f"--store={store}", "--show_progress=False"]
        # The worker watches its standard input: it ends when this process does.
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=scratch,
                              stderr=subprocess.STDOUT, env=environment) as process:
            assert process.stdout is not None
            log = process.stdout.read().decode(errors="replace")
        folders = {record.parent.name: pack_run(record.parent)
                   for record in store.glob("*/run.json")}
        return process.returncode, log[-100_000:], folders


def _node_cache() -> Path:
    folder = Path(tempfile.gettempdir()) / f"diffkg-recbole-data-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise UserError(f"{folder} belongs to another user; remove it or set TMPDIR on the node")
    return folder
