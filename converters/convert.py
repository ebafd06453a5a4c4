"""From a source folder to ``atomic_data/<name>/`` and its configuration file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from diffkg_recbole import __version__
from diffkg_recbole.errors import DataError, UserError
from diffkg_recbole.text import checked_dataset_name

from . import audit, dataset_yaml, split
from .atomic_writer import SUMMARY, is_atomic_file, write_atomic
from .authors import read_authors
from .dataset_yaml import DatasetYaml
from .kgat import read_kgat
from .knowledge_data import KnowledgeData, distinct
from .progress import Step, no_step
from .sources import SourceFolder
from .staging import check_target, replace_text, staged_folder

FORMATS = ("authors", "kgat")
STEPS = 13  # of a conversion, for its progress bar
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Request:
    """What to convert, and to where.

    Attributes:
        format: ``authors`` or ``kgat``.
        source: folder of the source files.
        name: name of the data set; RecBole's ``--dataset``.
        output: folder that gets ``<name>/``.
        configurations: folder that gets ``<name>.yaml``.
        valid_fraction: share of each user's training pairs that becomes the validation part,
            inside (0, 1).
        split_seed: draws the validation part.
        overwrite: replace an earlier conversion of this name.
        n_users, n_items: sizes of the matrix where the format does not state them (KGAT's).
    """

    format: str
    source: Path
    name: str
    output: Path = Path("atomic_data")
    configurations: Path = Path("configs/datasets")
    valid_fraction: float = 0.1
    split_seed: int = 2020
    overwrite: bool = False
    n_users: int | None = None
    n_items: int | None = None

    @property
    def target(self) -> Path:
        return self.output / self.name


@dataclass(frozen=True)
class Outcome:
    """What a conversion did.

    Attributes:
        folder: the written folder.
        summary: content of its ``dataset.json``.
        findings: the audit.
        configuration: the configuration file and what there is to say about it.
        differences: counts that differ from a hand-written ``expected``: name -> (there, here).
        notices: what of the source was left out, in words.
    """

    folder: Path
    summary: dict[str, Any]
    findings: list[audit.Finding]
    configuration: DatasetYaml
    differences: dict[str, tuple[int, int]] = field(default_factory=dict)
    notices: tuple[str, ...] = ()


def convert(request: Request, step: Step = no_step) -> Outcome:
    """Convert a source folder; nothing appears before everything is written.

    Raises:
        UserError: the request or the source is not in order, or the target exists.
    """
    _check_request(request)
    folder = SourceFolder(request.source)
    if request.format == "kgat":
        data = read_kgat(folder, request.name, step, request.n_users, request.n_items)
    else:
        data = read_authors(folder, request.name, step)
    refuse_wasteful_ids(data, folder.path)
    return write_dataset(data, request, folder.sha256, step)


def write_dataset(
    data: KnowledgeData, request: Request, sha256: dict[str, str], step: Step = no_step
) -> Outcome:
    """Write a data set's atomic files, ``dataset.json`` and configuration.

    Args:
        data: the data set.
        request: ``source`` and ``format`` are only recorded here.
        sha256: sums of the source's files.
        step: told what is being done.
    """
    step("auditing")
    sizes = audit.counts(data)
    findings = audit.audit(data)
    configuration = dataset_yaml.plan(
        request.configurations / f"{data.name}.yaml", data.name,
        request.output.as_posix().rstrip("/") + "/", sizes,
    )
    differences = dataset_yaml.differences(configuration.claims, sizes, configuration.path)
    step("cutting the validation part")
    given = data.parts is not None
    parts = data.parts or split.cut_per_user(
        data.train, data.n_users, request.valid_fraction, request.split_seed
    )
    if not len(parts[1]):
        raise UserError("no user has two training pairs, so no validation part can be cut")
    with staged_folder(request.target) as staged:
        files = write_atomic(data, parts, staged, step)
        summary = {
            "format": 1,
            "name": data.name,
            "source": {"format": request.format, "folder": request.source.resolve().name,
                       "sha256": sha256},
            "counts": sizes,
            "split": {
                "rule": split.GIVEN if given else split.RULE,
                "fraction": None if given else request.valid_fraction,
                "seed": None if given else request.split_seed,
                "train": len(parts[0]), "valid": len(parts[1]), "test": len(data.test),
            },
            "audit": {f.key: {"count": f.count, "of": f.total, "meaning": f.meaning}
                      for f in findings},
            "expected": {"source": configuration.claims_source, "claimed": configuration.claims,
                         "differs": sorted(differences)} if configuration.claims else None,
            "files": files,
            "tool": {"name": "diffkg-recbole converters", "version": __version__},
        }
        text = json.dumps(summary, indent=1, ensure_ascii=False) + "\n"
        (staged / SUMMARY).write_bytes(text.encode())
        configuration.path.parent.mkdir(parents=True, exist_ok=True)
    if configuration.changed:
        replace_text(configuration.path, configuration.text)
    return Outcome(request.target, summary, findings, configuration, differences, data.notices)


def _check_request(request: Request) -> None:
    checked_dataset_name(request.name)
    if not _NAME.fullmatch(request.name):
        raise UserError(f"name {request.name!r} is not usable; expected letters, digits, '.', "
                        "'_' and '-', beginning with a letter or digit")
    if request.name == "ml-100k":
        raise UserError("name 'ml-100k' is taken: RecBole always reads the copy inside its own "
                        "package under this name; expected another name")
    check_fraction("--valid-fraction", request.valid_fraction)
    check_target(
        request.target, request.overwrite, lambda name: is_atomic_file(name, request.name),
        request.source,
    )


def check_fraction(option: str, value: float) -> None:
    if not 0 < value < 1:
        raise UserError(f"{option} {value:g} is not allowed; expected a number above 0 and "
                        "below 1")


def refuse_wasteful_ids(data: KnowledgeData, path: Path) -> None:
    """Ids are counted from 0 without large gaps; one stray large id would fill the disk.

    Raises:
        DataError: a million ids more than ten times what occurs.
    """
    for kind, size, column in (("user", data.n_users, 0), ("item", data.n_items, 1)):
        used = len(distinct(np.r_[data.train[:, column], data.test[:, column]]))
        if size > 1_000_000 + 10 * used:
            raise DataError(path, f"counts {size} {kind}s, of which {used} occur",
                            f"{kind} ids counted from 0 without large gaps")
