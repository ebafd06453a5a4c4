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
    files = sorted(path for path in Path(folder).glob(f"{dataset}.*") if path.suffix in _SUFFIXES)
    return {path.name: _sha256(str(path), path.stat().st_mtime_ns, path.stat().st_size)
            for path in files}


def graph_hash(folder: str | Path, dataset: str) -> str:
    """sha256 (hex) over a dataset's ``.kg`` and ``.link`` files: what a knowledge model reads
    besides the interactions."""
    hashes = [f"{name} {digest}" for name, digest in data_files(folder, dataset).items()
              if name.endswith((".kg", ".link"))]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


@lru_cache(maxsize=256)
def _sha256(path: str, modified: int, size: int) -> str:
    """Hash of a file; asked again for the same state of the file, it is not read again."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
