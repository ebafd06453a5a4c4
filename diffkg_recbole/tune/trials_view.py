"""What a search shows: a live view of its trials, and the result."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import FrozenTrial
from rich.console import Console, Group

from diffkg_recbole.console import FittingTable, ProgressView, duration, escaped
from diffkg_recbole.tune.search import Search
from diffkg_recbole.tune.study import RESULT, Drawn, Study

_COLORS = {"finished": "green", "pruned": "yellow", "diverged": "yellow", "failed": "red"}
_SHOWN = 5


def setting_text(value: Any) -> str:
    """A value as short as it can be read back."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings in a line."""
    return ", ".join(f"{key} {setting_text(value)}" for key, value in settings.items())


@dataclass
class _Active:
    drawn: Drawn
    started: float = field(default_factory=time.monotonic)
    epoch: int | None = None
    score: float | None = None
    best: float | None = None


class SearchView(ProgressView):
    """One progress view over all trials; a plain line per trial where there is no terminal."""

    def __init__(self, study: Study, console: Console) -> None:
        super().__init__("trials", study.total, console, completed=len(study.trials))
        self.study, self.search = study, study.search
        self._active: dict[int, _Active] = {}

    def started(self, drawn: Drawn) -> None:
        """A trial begins."""
        self._active[drawn.place] = _Active(drawn)
        self._show()

    def epoch(self, drawn: Drawn, epoch: int, score: float) -> None:
        """A trial has validated an epoch."""
        one = self._active[drawn.place]
        better = max if self.search.maximize else min
        one.epoch, one.score = epoch, score
        one.best = score if one.best is None else better(one.best, score)
        self._show()

    def ended(self, drawn: Drawn) -> None:
        """A trial is recorded in the study: a line that stays."""
        one = self._active.pop(drawn.place)
        trial = self.study.study.trials[drawn.trial.number]
        outcome = trial.user_attrs[RESULT]["outcome"]
        score = "" if one.best is None else f" {one.best:.4f}"
        text = (f"{drawn.place + 1:>3}/{self.study.total}  [{_COLORS[outcome]}]{outcome:<8}[/]"
                f"{score}  {duration(time.monotonic() - one.started)}  ")
        self.console.print(text, end="", highlight=False)
        self.console.print(trial.user_attrs[RESULT].get("error") or settings_text(drawn.settings),
                           highlight=False, markup=False, soft_wrap=True)
        self._bar.update(self._task, completed=len(self.study.trials))
        self._show()

    def _show(self) -> None:
        if not self.console.is_terminal:
            return
        ranked = self.study.ranked
        best = f"best {self.search.metric} {ranked[0].value:.4f}" if ranked else ""
        self._bar.update(self._task, description=best)
        self._live.update(Group(self._bar, self._table()))

    def _table(self) -> FittingTable:
        table = FittingTable(["trial", "epoch", self.search.metric, "best", "since", "settings"],
                             names=["settings"], drop=["since"])
        for place, one in sorted(self._active.items()):
            table.add_row(
                str(place + 1),
                "loading" if one.epoch is None else
                f"{one.epoch + 1}/{self.search.settings['epochs']}",
                "" if one.score is None else f"{one.score:.4f}",
                "" if one.best is None else f"{one.best:.4f}",
                duration(time.monotonic() - one.started),
                escaped(settings_text(one.drawn.settings)))
        return table


def outcomes(study: Study) -> str:
    """How many trials ended how: ``20 trials: 13 finished, 7 pruned``."""
    counts = Counter(trial.user_attrs[RESULT]["outcome"] for trial in study.trials)
    listed = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    noun = "trial" if len(study.trials) == 1 else "trials"
    return f"{len(study.trials)} {noun}: {listed}" if counts else "no trial"


def headline(study: Study) -> str:
    """What was searched, in a line."""
    search = study.search
    return (f"{search.model} on {search.dataset}, protocol "
            f"{search.configuration['eval_protocol']}, seed {search.seed}; {outcomes(study)}")


def best_table(study: Study) -> FittingTable:
    """The best trials, a line each."""
    search, ranked = study.search, study.ranked
    keys = [p.key for p in search.space.parameters]
    table = FittingTable([f"valid {search.metric}", "epoch", *keys], drop=["epoch", *keys[::-1]])
    for trial in ranked[:_SHOWN]:
        notes = trial.user_attrs[RESULT]
        table.add_row(f"{trial.value:.4f}", f"{notes['epoch']} of {notes['epochs_run']}",
                      *(escaped(setting_text(notes["settings"][key])) for key in keys))
    return table


def ends_reached(search: Search, best: FrozenTrial) -> list[str]:
    """What to widen: ranges whose end is the best value, and a budget whose end is."""
    result = best.user_attrs[RESULT]
    settings, epochs = result["settings"], search.settings["epochs"]
    notes = [f"{p.key} is best at the end of its range ({setting_text(settings[p.key])} in {p}); "
             "a wider range may do better"
             for p in search.space.parameters if p.at_an_end(settings[p.key])]
    if result["epoch"] + 1 == epochs:
        notes.append(f"the best epoch is the last of {epochs}; a larger budget may do better")
    return notes
