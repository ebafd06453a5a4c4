"""Folders as bytes: what goes to the nodes of a cluster, and what comes back from them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from diffkg_recbole.errors import UserError
from diffkg_recbole.store import CorruptRunError, RunRecord
from diffkg_recbole.store.writing import lock_path

Files = dict[str, bytes]


def pack_dataset(folder: Path, dataset: str) -> Files:
    """The files of a dataset by name: those that begin with its name, and ``dataset.json``."""
    paths = [path for path in folder.iterdir() if path.is_file()
             and (path.name.startswith(f"{dataset}.") or path.name == "dataset.json")]
    return {path.name: path.read_bytes() for path in sorted(paths)}


def pack_run(folder: Path) -> Files:
    """The files of a run folder by their names below it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()}


def fingerprint(files: Mapping[str, bytes]) -> str:
    """Names a set of files by what they hold."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:32]


def unpack(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files below a folder.

    Raises:
        UserError: a name that leads out of the folder; nothing is written then.
    """
    for name in files:
        check_name(name)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def check_name(name: str) -> None:
    """Refuse a name that is not a plain path below a folder.

    Raises:
        UserError: it is empty, absolute, or has ``..``, a backslash, a colon or a NUL in it.
    """
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or set(name) & set("\\:\0"):
        raise UserError(f"a node sent a file named {name!r}; expected a path below its folder")


def place_run(name: str, files: Mapping[str, bytes], store: Path) -> bool:
    """Put a run folder that came from a node into the store, whole or not at all.

    Returns:
        False if what the store holds under that name is kept: a finished run, one that a process
        works on, or one to be resumed where the one that came is not finished.

    Raises:
        UserError: a name that leads out of the store.
    """
    check_name(name)
    if "/" in name:
        raise UserError(f"a node sent a run folder named {name!r}; expected one name")
    final, beside = store / name, store / ".arriving"
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside) as scratch:
        arrived = Path(scratch) / "new"
        unpack(files, arrived)
        lock = lock_path(final)
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(lock, timeout=1):
                if final.exists():
                    if _is_finished(final) or not _is_finished(arrived):
                        return False
                    final.rename(Path(scratch) / "old")
                arrived.rename(final)
        except Timeout:
            return False
    return True


def _is_finished(folder: Path) -> bool:
    try:
        return RunRecord(folder).finished
    except (CorruptRunError, OSError):
        return False


def cached(files: Mapping[str, bytes], folder: Path) -> None:
    """Unpack files into a folder that other processes may be making as well."""
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        unpack(files, scratch)
        with contextlib.suppress(OSError):  # another process was first
            os.rename(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
