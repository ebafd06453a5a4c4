"""The authors' format: ``trnMat.pkl``, ``tstMat.pkl`` and ``kg.txt``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from diffkg_recbole.errors import DataError

from .integer_text import parse_triples
from .knowledge_data import KnowledgeData, distinct_pairs
from .names import read_names, write_names
from .progress import Step, no_step
from .sources import SourceFolder
from .sparse_files import EXPECTED, Coordinates, matrix_bytes, parse_matrix

TRAIN, TEST, GRAPH = "trnMat.pkl", "tstMat.pkl", "kg.txt"
FOLDER = f"the authors' format ({TRAIN}, {TEST}, {GRAPH})"


def read_authors(folder: SourceFolder, name: str, step: Step = no_step) -> KnowledgeData:
    """Read a folder in the authors' format.

    Non-zero entries are interactions; repeated places collapse. ``*_list.txt`` files beside the
    three, as an export leaves them, give names.

    Args:
        folder: where the files lie.
        name: name of the data set.
        step: told what is being done.

    Raises:
        DataError: a file is missing, malformed or empty, or the two matrices differ in shape.
    """
    matrices: dict[str, Coordinates] = {}
    for file in (TRAIN, TEST):
        step(f"reading {file}")
        content = folder.read(file, f"{EXPECTED}, part of {FOLDER}")
        matrices[file] = parse_matrix(content, folder.path / file)
    train, test = matrices[TRAIN], matrices[TEST]
    if train.shape != test.shape:
        raise DataError(
            folder.path / TEST, f"has shape {test.shape}",
            f"the shape (users, items) of {TRAIN}, {train.shape}",
        )
    step(f"reading {GRAPH}")
    expected = f"'head relation tail' lines, part of {FOLDER}"
    triples = parse_triples(folder.read(GRAPH, expected), folder.path / GRAPH)
    lists = read_names(folder)
    step("collapsing repeated pairs")
    train_pairs, train_repeated = _interactions(train, folder.path / TRAIN)
    test_pairs, test_repeated = _interactions(test, folder.path / TEST)
    return KnowledgeData(
        name, *train.shape, train_pairs, test_pairs, triples,
        duplicates={"train": train_repeated, "test": test_repeated},
        names=lists.names, listed_entities=lists.sizes.get("entity", 0), notices=lists.notices,
    )


def _interactions(matrix: Coordinates, path: Path) -> tuple[np.ndarray, int]:
    stored = matrix.numbers != 0
    if not stored.any():
        raise DataError(path, f"holds no interaction (shape {matrix.shape})",
                        "at least one non-zero entry")
    return distinct_pairs(matrix.rows[stored], matrix.columns[stored], matrix.shape[1])


def write_authors(data: KnowledgeData, folder: Path, step: Step = no_step) -> list[Path]:
    """Write a data set in the authors' format; names, where known, as ``*_list.txt``.

    Returns:
        the files written.
    """
    shape = (data.n_users, data.n_items)
    for file, pairs in ((TRAIN, data.train), (TEST, data.test)):
        step(f"writing {file}")
        (folder / file).write_bytes(matrix_bytes(pairs, shape))
    step(f"writing {GRAPH}")
    frame = pd.DataFrame(data.triples)
    frame.to_csv(folder / GRAPH, sep=" ", header=False, index=False, lineterminator="\n")
    return [folder / TRAIN, folder / TEST, folder / GRAPH, *write_names(data.names, folder)]
