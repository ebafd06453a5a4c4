"""Where a run happened: versions, hardware, and the state of the code."""

from __future__ import annotations

import hashlib
import inspect
import os
import platform
import subprocess
import sys
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from diffkg_recbole.store.file_hashes import sources_hash

_PACKAGE = Path(__file__).resolve().parents[1]
_WITHOUT_RESULTS = frozenset({
    "__init__.py", "__main__.py", "cli", "compare", "console.py", "errors.py", "files.py",
    "groups.py", "memory_plan.py", "needs_recbole.py", "plain.py", "processes.py", "report",
    "run_log.py", "screen.py", "shipped_files.py", "shortage.py", "statistics", "store", "text.py",
    "tune", "converters",
})
"""Sources that start, store, show and compare runs. All others count, new ones included."""
_LIBRARIES = ("torch", "recbole", "numpy", "scipy", "pandas", "pyarrow")


def environment(model_class: type | None = None) -> dict[str, Any]:
    """``versions``, ``hardware`` and ``code`` of a run record, as plain data.

    Args:
        model_class: class of the run's model, whose source counts where it is a user's own.
    """
    code = {**code_state(), "hash": code_hash(model_class)}
    return {"versions": _versions(), "hardware": _hardware(), "code": code}


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    versions["diffkg-recbole"] = code_version()
    return versions


def code_version() -> str:
    """Version of this package."""
    from diffkg_recbole import __version__

    return __version__


def code_hash(model_class: type | None = None) -> str:
    """Hash (64 hex digits) that names the code a result comes from.

    It covers this package's sources that make results, RecBole's version, which stands for its
    samplers, splits and models, and the sources of a user's own model. The versions of torch,
    NumPy, SciPy and pandas are recorded with a run and leave its name alone, like the processor:
    they move the last bits of a sum, and a comparison must survive an update.
    """
    parts = [sources_hash(_PACKAGE, _WITHOUT_RESULTS), metadata.version("recbole")]
    parts += _own_sources(model_class) if model_class is not None else ()
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@lru_cache(maxsize=128)
def _own_sources(model_class: type) -> tuple[str, ...]:
    """Hashes of the modules of a model that are neither a library's nor this package's."""
    covered = {"builtins", "abc", "torch", "recbole", "diffkg_recbole"}
    names = sorted({base.__module__ for base in model_class.__mro__
                    if base.__module__.split(".")[0] not in covered})
    hashes = []
    for name in names:
        try:
            source = inspect.getsource(sys.modules[name])
        except (OSError, TypeError, KeyError):  # typed into an interpreter
            source = name
        hashes.append(hashlib.sha256(source.encode()).hexdigest())
    return tuple(hashes)


def _hardware() -> dict[str, Any]:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "cpu": _cpu_model(),
        "cores": cores,
        "threads": torch.get_num_threads(),
        "memory_mb": round(psutil.virtual_memory().total / 2**20),
        "gpus": gpus,
        "system": f"{platform.system()} {platform.release()}",
        "host": platform.node(),
    }


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def code_state(folder: Path | None = None) -> dict[str, Any]:
    """Version of the package and, where it lies in a git checkout, commit and changed files.

    Args:
        folder: the package's folder, by default this one's.

    Returns:
        ``{"version", "commit", "dirty"}``; commit and dirty are None outside a checkout or
        without git. An untracked package inside another project's checkout is outside.
    """
    folder = folder or Path(__file__).resolve().parent.parent
    commit = dirty = None
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is not None:
        commit = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
        dirty = None if changes is None else bool(changes)
    return {"version": code_version(), "commit": commit, "dirty": dirty}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True,
                              text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
