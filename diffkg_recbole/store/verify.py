"""Whether a run's numbers stand: evaluated again, and added up from its own files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from diffkg_recbole.errors import UserError
from diffkg_recbole.store.file_hashes import damage
from diffkg_recbole.store.reading import RunRecord

TOLERANCE = 1e-6
"""Another thread count or device moves scores in the last bits, which may swap tied items."""


class Check(NamedTuple):
    """One stored number against the same number obtained otherwise."""

    metric: str
    source: str
    stored: float
    found: float | None

    @property
    def equal(self) -> bool:
        """Whether the numbers agree within :data:`TOLERANCE`."""
        return self.found is not None and math.isclose(
            self.stored, self.found, rel_tol=0, abs_tol=TOLERANCE)


def verify(
    record: RunRecord, evaluate: Callable[[Path], Mapping[str, float]]
) -> list[Check]:
    """Compare the stored test metrics with the checkpoint's and with the per-user file's.

    The checkpoint is evaluated on the data that its configuration names, so the data set must
    be where it was when the run was made.

    Args:
        evaluate: test metrics of a checkpoint, computed anew
            (:func:`diffkg_recbole.quick_start.evaluate_checkpoint`).

    Raises:
        UserError: if the run is not finished, or its checkpoint is not there.
    """
    if not record.finished:
        raise UserError(f"run {record.folder.name} is {record.status}; only a finished run can "
                        "be verified")
    if not record.model_path.exists():
        raise UserError(f"run {record.folder.name} has no {record.model_path.name} to evaluate")
    problem = damage(record.folder, record.get("files"), contents=True)
    if problem:
        raise UserError(f"run {record.folder.name} is not as it was finished: {problem}; the "
                        "command that made it makes it anew")
    checks = []
    if (record.folder / "users.parquet").exists():
        means = record.users().drop(columns=["user", "n_train"]).mean()
        checks = [Check(name, "users.parquet", record.test[name], float(means[name]))
                  for name in means.index if name in record.test]
    found = evaluate(record.model_path)
    lower = {name.lower(): value for name, value in found.items()}
    return checks + [
        Check(name, record.model_path.name, value,
              None if lower.get(name.lower()) is None else float(lower[name.lower()]))
        for name, value in record.test.items()
    ]
