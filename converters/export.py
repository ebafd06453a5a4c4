"""From a RecBole knowledge data set to a folder in the authors' format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffkg_recbole import __version__

from . import audit, authors, split
from .atomic_reader import Fields, ReadBack, read_atomic
from .convert import check_fraction
from .names import list_file
from .progress import Step, no_step
from .sources import SourceFolder
from .staging import check_target, staged_folder

STEPS = 8  # of an export, for its progress bar
SUMMARY = "export.json"
_FILES = (authors.TRAIN, authors.TEST, authors.GRAPH, SUMMARY,
          *(list_file(kind) for kind in ("user", "item", "entity", "relation")))


@dataclass(frozen=True)
class ExportRequest:
    """What to export, and to where.

    Attributes:
        source: folder of the atomic files.
        target: folder to write.
        parts: interaction parts, the last one the test part; None = what is found.
        test_fraction: share of each user's pairs that becomes test where the source has one
            undivided ``.inter``, inside (0, 1).
        split_seed: draws that share.
        overwrite: replace an earlier export.
        fields: column names.
    """

    source: Path
    target: Path
    parts: Sequence[str] | None = None
    test_fraction: float = 0.2
    split_seed: int = 2020
    overwrite: bool = False
    fields: Fields = field(default_factory=Fields)


@dataclass(frozen=True)
class ExportOutcome:
    """What an export did: the written folder, its ``export.json``, and what was read."""

    folder: Path
    summary: dict[str, Any]
    read: ReadBack


def export(request: ExportRequest, step: Step = no_step) -> ExportOutcome:
    """Write ``trnMat.pkl``, ``tstMat.pkl`` and ``kg.txt``; train and validation part are train.

    Raises:
        UserError: the request or the source is not in order, or the target exists.
    """
    check_fraction("--test-fraction", request.test_fraction)
    folder = SourceFolder(request.source)
    check_target(request.target, request.overwrite, lambda name: name in _FILES, folder.path)
    read = read_atomic(folder, request.fields, request.parts, request.test_fraction,
                       request.split_seed, step)
    summary = {
        "format": 1,
        "source": {"folder": folder.path.resolve().name, "interactions": list(read.parts),
                   "sha256": folder.sha256},
        "ids": "the tokens of the source" if read.exact else "numbered anew, see *_list.txt",
        "split": {"rule": split.RULE.replace("training pair", "pair"),
                  "fraction": request.test_fraction,
                  "seed": request.split_seed} if read.cut else "as in the source",
        "notices": read.notices,
        "counts": audit.counts(read.data),
        "tool": {"name": "diffkg-recbole converters", "version": __version__},
    }
    with staged_folder(request.target) as staged:
        authors.write_authors(read.data, staged, step)
        text = json.dumps(summary, indent=1, ensure_ascii=False) + "\n"
        (staged / SUMMARY).write_bytes(text.encode())
    return ExportOutcome(request.target, summary, read)
