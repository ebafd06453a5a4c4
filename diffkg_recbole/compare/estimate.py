"""How long a run will take, judged by the finished runs of a store."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diffkg_recbole.plain import canonical_json
from diffkg_recbole.store import CorruptRunError, RunRecord, determining

if TYPE_CHECKING:
    from diffkg_recbole.compare.planned import PlannedRun

_SEEDS = ("seed", "split_seed")


@dataclass(frozen=True)
class PastRun:
    """What a finished run tells of the time of others.

    Args:
        kind: text that is equal for runs that differ in their seeds only.
        limit: most epochs that it might have taken.
        epochs: how many it took, at least 1.
        seconds: how long it took.
    """

    model: str
    dataset: str
    kind: str
    limit: int
    epochs: int
    seconds: float


def past_runs(records: Iterable[RunRecord]) -> Iterator[PastRun]:
    """The finished runs that recorded their time."""
    for record in records:
        seconds = (record.get("cost") or {}).get("seconds_total")
        if not record.finished or seconds is None:
            continue
        try:
            configuration = record.config()
        except CorruptRunError:
            continue
        epochs, limit = max(1, record.get("epochs_run") or 1), configuration.get("epochs")
        yield PastRun(record.model, record.dataset, _kind(determining(configuration)),
                      limit if limit and isinstance(limit, int) else epochs, epochs, seconds)


def _kind(configuration: dict[str, Any]) -> str:
    return canonical_json({k: v for k, v in configuration.items() if k not in _SEEDS})


def estimate(run: PlannedRun, past: Sequence[PastRun]) -> float | None:
    """Seconds of a run, None if no run of its model on its data set has finished.

    Runs that differ in the seed alone tell it directly. Otherwise it is the seconds per epoch of
    the model's other runs, times the epochs after which they stopped early, or the most that
    this run may take if they never did.
    """
    alike = [one for one in past if (one.model, one.dataset) == (run.model, run.dataset)]
    same = [one.seconds for one in alike if one.kind == _kind(json.loads(run.key))]
    if same:
        return sum(same) / len(same)
    if not alike:
        return None
    pace = sum(one.seconds / one.epochs for one in alike) / len(alike)
    early = [one.epochs for one in alike if one.epochs < one.limit]
    usual = sum(early) / len(early) if early else run.epochs
    return pace * min(run.epochs, usual)
