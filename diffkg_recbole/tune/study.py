"""The study of a search: an Optuna journal in the store, from which a killed search goes on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from diffkg_recbole.errors import UserError, shown
from diffkg_recbole.shortage import as_user_error, naming
from diffkg_recbole.store import RunBusyError, folder_name
from diffkg_recbole.text import one_line
from diffkg_recbole.tune.search import Search
from diffkg_recbole.tune.trial import OUTCOMES, Result, Task

RESULT = "result"
"""Name of what a trial notes when it has ended: a :class:`Result`, ``settings``, ``jobs``, and
``error`` where it failed."""
_AGAIN = "run again"  # number of the failed or interrupted trial that this one repeats
_CREATES_TRIAL = 4  # in Optuna's journals
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def study_path(search: Search, store: Path) -> Path:
    """Where the study of a search lies: a file beside the run folders."""
    return store / f"tuning-{folder_name(search.model, search.dataset, search.id)}.journal"


@dataclass(frozen=True)
class Drawn:
    """A trial that was begun.

    Args:
        trial: Optuna's.
        place: how many trials count before it.
        settings: values of the searched keys.
    """

    trial: Trial
    place: int
    settings: dict[str, Any]


class Study:
    """The trials of a search, held by one process at a time.

    What a trial draws depends on the seed, its place and the trials before it, and on nothing
    that a process holds: a search that was killed and resumed makes the same trials.

    Args:
        search: what is searched.
        store: folder of run folders.
        jobs: how many trials are run at once; noted with each.

    Raises:
        RunBusyError: another live process works on it.
    """

    def __init__(self, search: Search, store: Path, jobs: int = 1) -> None:
        self.search, self.jobs = search, jobs
        self.path = study_path(search, store)
        self._active = 0
        self._points = search.space.points(search.trials)
        locks = store / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(locks / f"{self.path.name}.lock")

    def __enter__(self) -> Study:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RunBusyError(f"search {self.path.name} is being worked on by another process; "
                               "wait for it or stop it") from None
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    def _open(self) -> None:
        budget = self.search.budget
        lock = JournalFileOpenLock(str(self.path))
        self.path.with_name(f"{self.path.name}.lock").unlink(missing_ok=True)  # its owner is dead
        try:
            _cut_torn_line(self.path)
            self.study = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(self.path), lock_obj=lock)),
                study_name=self.search.id, load_if_exists=True,
                direction="maximize" if self.search.maximize else "minimize",
                pruner=optuna.pruners.MedianPruner(
                    n_startup_trials=budget.prune_after_trials,
                    n_warmup_steps=budget.prune_after_epochs),
            )
            self._check()
            self._take_up()
        except (UserError, KeyboardInterrupt):
            raise
        except OSError as error:
            raise as_user_error(error, str(self.path)) or error from error
        except Exception as error:  # Optuna meets damage with any exception
            raise self._unreadable(f"{type(error).__name__}: {one_line(error)[:200]}") from error

    def _unreadable(self, problem: str) -> UserError:
        return UserError(f"the study {self.path} cannot be read ({problem}); remove it to search "
                         "anew")

    def _check(self) -> None:
        """Every trial is there, and holds what the rest of a search reads of it."""
        made = sum(json.loads(line).get("op_code") == _CREATES_TRIAL
                   for line in self.path.read_bytes().splitlines())
        there = len(self.study.get_trials(deepcopy=False))
        if made != there:  # Optuna passes over what belongs to nothing
            raise self._unreadable(f"it has {made} trials, of which {there} belong to it")
        numbers = set()
        for trial in self.study.get_trials(deepcopy=False):
            numbers.add(trial.number)
            result, again = trial.user_attrs.get(RESULT), trial.user_attrs.get(_AGAIN, 0)
            problem = None if result is None else self._problem(result)
            if trial.state == TrialState.COMPLETE and (
                    result is None or result.get("score") != trial.value):
                problem = problem or f"its value {shown(trial.value)} is not that of its result"
            if again not in numbers:
                problem = f"it repeats trial {shown(again)}"
            if problem:
                raise self._unreadable(f"trial {trial.number}: {problem}")

    def _problem(self, result: Any) -> str | None:
        """What is wrong with a trial's note, in words."""
        if not isinstance(result, dict) or result.get("outcome") not in OUTCOMES:
            return f"{shown(result, 60)} is no result"
        settings, jobs = result.get("settings"), result.get("jobs")
        if not isinstance(settings, dict) or not all(
                p.contains(settings.get(p.key)) for p in self.search.space.parameters):
            return f"its settings are {shown(settings, 60)}"
        if not isinstance(jobs, int) or jobs < 1:
            return f"'jobs' is {shown(jobs, 60)}"
        if result["outcome"] == "failed":
            return None if isinstance(result.get("error"), str) else "it failed without an error"
        score = result.get("score")
        if result["outcome"] != "finished":
            return None
        if not isinstance(score, float) or not math.isfinite(score):
            return f"its score is {shown(score, 60)}"
        counts = (result.get("epoch"), result.get("epochs_run"))
        return None if all(isinstance(n, int) for n in counts) else f"its epochs are {counts!r:.60}"

    def _take_up(self) -> None:
        """Queue what an earlier process left unfinished, or what failed, to be run again."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._tell(trial.number, trial.user_attrs.get(RESULT, {"outcome": "failed"}))
        again = self._run_again()
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.FAIL,)):
            if trial.number not in again and len(trial.params) == len(self.search.space.parameters):
                self.study.enqueue_trial(trial.params, {_AGAIN: trial.number})

    def _run_again(self) -> set[int]:
        """Numbers of failed trials that were queued again."""
        return {trial.user_attrs[_AGAIN] for trial in self.study.get_trials(deepcopy=False)
                if _AGAIN in trial.user_attrs}

    # ---- drawing ------------------------------------------------------------------------------

    @property
    def trials(self) -> list[FrozenTrial]:
        """Trials that count: those that ended, interrupted ones and first attempts left out."""
        again = self._run_again()
        return [trial for trial in self.study.get_trials(deepcopy=False, states=_ENDED)
                if RESULT in trial.user_attrs and trial.number not in again]

    @property
    def left(self) -> int:
        """Trials still to be started; a small space ends when each of its points was tried."""
        if self._points is not None:
            return len(self._untried())
        return max(0, self.search.trials - len(self.trials) - self._active)

    @property
    def total(self) -> int:
        """Trials that the search will have had at its end."""
        return len(self.trials) + self._active + self.left

    def _untried(self) -> list[dict[str, Any]]:
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        tried = [trial.params for trial in (*self.trials, *running)]
        return [point for point in self._points or () if point not in tried]

    def draw(self) -> Drawn:
        """Begin a trial."""
        place = len(self.trials) + self._active
        if not self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            proposal = self._proposal(place)
            if proposal:
                self.study.enqueue_trial(proposal)
        # A sampler of its own for each place: one that lived on would draw other numbers in a
        # search that was resumed.
        seed = np.random.SeedSequence([self.search.seed, place]).generate_state(1)[0]
        self.study.sampler = TPESampler(
            seed=int(seed), n_startup_trials=self.search.budget.random_trials)
        trial = self.study.ask(self.search.space.distributions)
        self._active += 1
        return Drawn(trial, place, self.search.space.settings(trial.params))

    def _proposal(self, place: int) -> dict[str, Any]:
        """The model's own defaults come first; a small space is gone through point by point."""
        if self._points is not None:
            return self._untried()[0]
        return self.search.space.drawn(self.search.defaults) if place == 0 else {}

    def task(self, drawn: Drawn, words: Sequence[str] = ()) -> Task:
        """The training of a trial; ``words`` come last. Nothing is kept in the checkpoint folder
        that RecBole makes, so it is one that is there."""
        search = self.search
        settings = {**search.budget.settings, "checkpoint_dir": str(self.path.parent)}
        return Task(search.model, search.dataset, search.files, (*search.words, *words),
                    {**settings, **drawn.settings}, search.fingerprint["all"])

    # ---- recording ----------------------------------------------------------------------------

    def should_go_on(self, drawn: Drawn, epoch: int, score: float) -> bool:
        """Note the score of an epoch; False if better trials were better at this epoch."""
        drawn.trial.report(score, epoch)
        return not drawn.trial.should_prune()

    def record(self, drawn: Drawn, result: Result) -> None:
        """Note how a trial ended. A diverged one counts as given up, whatever came before."""
        self._note(drawn, **vars(result))

    def fail(self, drawn: Drawn, error: str) -> None:
        """Note that a trial ended with an error; the next process runs it again."""
        self._note(drawn, outcome="failed", error=error)

    def _note(self, drawn: Drawn, **values: Any) -> None:
        result = {**values, "settings": drawn.settings, "jobs": self.jobs}
        with naming(self.path):
            drawn.trial.set_user_attr(RESULT, result)
            self._tell(drawn.trial.number, result)
        self._active -= 1

    def _tell(self, number: int, result: Mapping[str, Any]) -> None:
        """End a trial, whose result is noted by now: a kill in between loses nothing."""
        if result["outcome"] == "finished":
            self.study.tell(number, result["score"])
        else:
            failed = result["outcome"] == "failed"
            self.study.tell(number, state=TrialState.FAIL if failed else TrialState.PRUNED)

    # ---- results ------------------------------------------------------------------------------

    @property
    def ranked(self) -> list[FrozenTrial]:
        """Finished trials, best first; of equal ones the earlier."""
        finished = [t for t in self.trials if t.state == TrialState.COMPLETE]
        sign = -1 if self.search.maximize else 1
        return sorted(finished, key=lambda trial: sign * float(trial.value or 0.0))


def _cut_torn_line(path: Path) -> None:
    """Drop what a power cut left of the last line; a line appended to it would be lost, too."""
    if not path.exists():
        return
    if not path.is_file():
        raise UserError(f"the study {path} is no regular file; remove it to search anew")
    whole = path.read_bytes()
    end = whole.rfind(b"\n") + 1
    if end < len(whole):
        with path.open("r+b") as file:
            file.truncate(end)
