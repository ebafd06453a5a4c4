"""Hashes of the files of a dataset: whether a run saw the data that lie there now."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

_SUFFIXES = (".inter", ".user", ".item", ".kg", ".link")
_BLOCK = 1 << 20


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


@lru_cache(maxsize=256)
def _sha256(path: str, modified: int, size: int) -> str:
    """Hash of a file; asked again for the same state of the file, it is not read again."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
