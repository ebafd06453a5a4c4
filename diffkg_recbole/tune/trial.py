"""One trial: the training that ``diffkg-recbole train`` would do, up to the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from diffkg_recbole.config import Config
from diffkg_recbole.errors import DivergedError, UserError
from diffkg_recbole.quick_start import Experiment, prepare

OUTCOMES = ("finished", "pruned", "diverged", "failed")
"""Ran to its end; given up after an epoch; loss became NaN; ended with an error."""

_DIVERGED = ("returned nan values",)  # words of torch

Report = Callable[[int, float], bool]
"""Takes an epoch and its validation score; says whether the trial should go on."""


class DataChangedError(UserError):
    """The data are no longer those of the search."""


class _GivenUp(Exception):
    """Leaves RecBole's loop over epochs."""


@dataclass(frozen=True)
class Task:
    """What a trial trains; plain data, for another process.

    Args:
        model, dataset, files, words: as of ``Config``.
        settings: searched values and budget.
        fingerprint: hash of the data that the search is about.
    """

    model: str
    dataset: str
    files: tuple[str, ...]
    words: tuple[str, ...]
    settings: dict[str, Any]
    fingerprint: str


@dataclass(frozen=True)
class Result:
    """How a trial ended.

    Args:
        outcome: one of :data:`OUTCOMES`.
        score: best validation score, None if there is none.
        epoch: the epoch it was reached in (0-based).
        epochs_run: how many were trained.
        valid: all validation metrics of that epoch.
        seconds: of training and validation.
    """

    outcome: str
    score: float | None
    epoch: int | None
    epochs_run: int
    valid: dict[str, float]
    seconds: float


def train(task: Task, report: Report) -> Result:
    """Train and validate; the test part is dropped as soon as the data are loaded.

    Raises:
        DataChangedError: the data have another fingerprint.
        Exception: whatever the training raises, a NaN loss excepted.
    """
    config = Config(task.model, task.dataset, task.files, task.settings, task.words)
    experiment = prepare(config)
    experiment.test_data = None
    if experiment.fingerprint["all"] != task.fingerprint:
        raise DataChangedError(f"the data of '{task.dataset}' are no longer those of the search, "
                               "or a searched key changes them")
    return _fit(experiment, report)


def _fit(experiment: Experiment, report: Report) -> Result:
    start = perf_counter()
    scores: dict[int, float] = {}

    def after_epoch(epoch: int, score: float) -> None:
        scores[epoch] = float(score)
        if not report(epoch, float(score)):
            raise _GivenUp

    trainer = experiment.build_trainer(experiment.build_model())
    outcome = "finished"
    try:
        trainer.fit(experiment.train_data, experiment.valid_data, verbose=False, saved=False,
                    callback_fn=after_epoch)
    except _GivenUp:
        outcome = "pruned"
    except DivergedError:
        outcome = "diverged"
    except (ValueError, RuntimeError) as error:
        if not any(words in str(error) for words in _DIVERGED):
            raise
        outcome = "diverged"
    if not scores:
        return Result(outcome, None, None, 0, {}, perf_counter() - start)
    best = float(trainer.best_valid_score)
    return Result(
        outcome, best, [epoch for epoch, score in scores.items() if score == best][-1],
        max(scores) + 1, dict(trainer.best_valid_result), perf_counter() - start,
    )

