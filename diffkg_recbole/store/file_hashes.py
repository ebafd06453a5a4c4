"""Hashes of files: whether a run saw the data that lie there now, and is as it was finished."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

_SUFFIXES = (".inter", ".user", ".item", ".kg", ".link")
_BLOCK = 1 << 20
_SMALL = 10_000_000  # bytes; read in a hundredth of a second


def data_files(folder: str | Path, dataset: str) -> dict[str, str]:
    """sha256 (hex) of every atomic file of a dataset, by file name.

    Args:
        folder: the dataset's folder; an absent one holds no files.
        dataset: its name; files are ``<dataset>.inter``, ``<dataset>.train.inter``, ``.kg``, ...
    """
    if not Path(folder).is_dir():
        return {}
    # listed, not globbed: a name may hold brackets
    files = sorted(path for path in Path(folder).iterdir()
                   if path.name.startswith(f"{dataset}.") and path.suffix in _SUFFIXES)
    return {path.name: _sha256(str(path), path.stat().st_mtime_ns, path.stat().st_size)
            for path in files}


def graph_hash(folder: str | Path, dataset: str) -> str:
    """sha256 (hex) over a dataset's ``.kg`` and ``.link`` files: what a knowledge model reads
    besides the interactions."""
    hashes = [f"{name} {digest}" for name, digest in data_files(folder, dataset).items()
              if name.endswith((".kg", ".link"))]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


@lru_cache(maxsize=8)
def sources_hash(folder: Path, leave_out: frozenset[str] = frozenset()) -> str:
    """sha256 (hex) over the Python files below ``folder``, read once in a process.

    Args:
        leave_out: files and folders directly in ``folder`` that do not count.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).parts):
        place = path.relative_to(folder)
        if place.parts[0] not in leave_out:
            text = path.read_bytes().replace(b"\r\n", b"\n")  # as some checkouts write them
            digest.update(f"{place.as_posix()} {len(text)}\n".encode() + text)
    return digest.hexdigest()


def hashes(paths: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """``bytes`` and ``sha256`` of files, by file name."""
    return {path.name: {"bytes": path.stat().st_size, "sha256": _sha256(
        str(path), path.stat().st_mtime_ns, path.stat().st_size)}
        for path in sorted(paths) if path.is_file() and not path.name.startswith(".")}


def damage(
    folder: Path, files: Mapping[str, Mapping[str, Any]] | None, contents: bool = False
) -> str | None:
    """What of ``files`` (:func:`hashes`) is not there any more as it was, in words.

    Args:
        files: None where it was not recorded; then nothing is known to be damaged.
        contents: whether to read large files, too, and not only to compare their sizes.
    """
    for name, was in (files or {}).items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        size = path.stat().st_size
        if size != was["bytes"]:
            return f"{name} has {size} bytes instead of {was['bytes']}"
        if (contents or size <= _SMALL) and hashes([path])[name]["sha256"] != was["sha256"]:
            return f"{name} was changed"
    return None


@lru_cache(maxsize=256)
def _sha256(path: str, modified: int, size: int) -> str:
    """Hash of a file; asked again for the same state of the file, it is not read again."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
