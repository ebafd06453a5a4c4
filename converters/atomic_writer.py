"""Writing RecBole atomic files.

Tokens are the source's integer ids, so the way back is exact. Beside the interactions,
``<name>.item`` and ``<name>.user`` list every item and user of the matrix: whatever RecBole does
not find in a file does not exist for it, and the id spaces would shrink. ``<name>.link`` holds
only items that occur in a triple, each with the entity of its own number: in benchmark mode
RecBole stops at a linked entity that occurs nowhere.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from .knowledge_data import KnowledgeData, distinct
from .names import list_file, write_names
from .progress import Step, no_step

PARTS = ("train", "valid", "test")
SUFFIXES = (*(f"{part}.inter" for part in PARTS), "user", "item", "kg", "link")
SUMMARY = "dataset.json"
COLUMNS = {
    "inter": ["user_id", "item_id"],
    "user": ["user_id"],
    "item": ["item_id"],
    "kg": ["head_id", "relation_id", "tail_id"],
    "link": ["item_id", "entity_id"],
}


def is_atomic_file(name: str, dataset: str) -> bool:
    """Whether a conversion to this data set writes a file of this name."""
    lists = [list_file(kind) for kind in ("user", "item", "entity", "relation")]
    return name in (SUMMARY, *lists, *(f"{dataset}.{suffix}" for suffix in SUFFIXES))


def write_atomic(
    data: KnowledgeData, valid: tuple[np.ndarray, np.ndarray], folder: Path, step: Step = no_step
) -> dict[str, dict[str, object]]:
    """Write every atomic file of a data set.

    Args:
        data: the data set.
        valid: its training pairs divided into (training part, validation part).
        folder: an existing folder.
        step: told what is being written.

    Returns:
        for each file its ``rows`` and ``sha256``.
    """
    linked = distinct(data.triples[:, [0, 2]].ravel())
    linked = linked[linked < data.n_items]
    tables = {
        "train.inter": valid[0],
        "valid.inter": valid[1],
        "test.inter": data.test,
        "user": np.arange(data.n_users)[:, None],
        "item": np.arange(data.n_items)[:, None],
        "kg": data.triples,
        "link": np.stack([linked, linked], axis=1),
    }
    files: dict[str, dict[str, object]] = {}
    for suffix, table in tables.items():
        path = folder / f"{data.name}.{suffix}"
        step(f"writing {path.name}")
        header = [f"{column}:token" for column in COLUMNS[suffix.split(".")[-1]]]
        pd.DataFrame(table, columns=header).to_csv(
            path, sep="\t", index=False, lineterminator="\n"
        )
        files[path.name] = {"rows": len(table), "sha256": _sha256(path)}
    for path in write_names(data.names, folder):
        files[path.name] = {"sha256": _sha256(path)}
    return files


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
