"""What a comparison shows: the plan, one live view of all runs, and the result."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console, Group

from diffkg_recbole.compare.plan import Plan
from diffkg_recbole.compare.planned import PlannedRun
from diffkg_recbole.compare.run_queue import Active, Outcome
from diffkg_recbole.console import FittingTable, ProgressView, duration, escaped
from diffkg_recbole.statistics import Measure
from diffkg_recbole.store import RunRecord


def left(plan: Plan, jobs: int) -> str:
    """The estimated time that is left, in words."""
    seconds, unknown = plan.seconds_left(jobs)
    total = len(plan.open)
    if not total:
        return "nothing is left to run"
    if unknown == total:
        return "time: unknown (no run of these models and data sets has finished yet)"
    note = f", and {unknown} runs of unknown length" if unknown else ""
    return f"time: about {duration(seconds)}{note}"


def plan_table(plan: Plan) -> FittingTable:
    """A line per row and data set: seeds, what is there, settings, estimated time."""
    table = FittingTable(["dataset", "row", "runs", "state", "settings from", "each"],
                         left=["settings from"], names=["dataset", "row", "state"],
                         drop=["settings from", "each", "runs"])
    grouped: dict[tuple[str, str], list[PlannedRun]] = {}
    for run in plan.runs:
        grouped.setdefault((run.dataset, run.label), []).append(run)
    for (dataset, label), runs in grouped.items():
        states = Counter(run.state for run in runs)
        file = plan.comparison.settings_file(runs[0].model, dataset)
        table.add_row(escaped(dataset), escaped(label), str(len(runs)),
                      ", ".join(f"{count} {state}" for state, count in states.items()),
                      "defaults" if file is None else escaped(f"{file.parent.name}/{file.name}"),
                      duration(runs[0].seconds))
    return table


class LiveView(ProgressView):
    """One progress view over all runs; plain lines where there is no terminal.

    Args:
        total: runs to do.
        metric: the validation metric that is shown.
        console: where to.
    """

    def __init__(self, total: int, metric: str, console: Console) -> None:
        super().__init__("runs", total, console)
        self.metric = metric
        self._failed = 0

    def show(self, active: Sequence[Active], waiting: int) -> None:
        """Bring the view up to date."""
        failed = f", [red]{self._failed} failed[/]" if self._failed else ""
        self._bar.update(self._task, description=f"{waiting} waiting{failed}")
        if self.console.is_terminal:
            self._live.update(Group(self._bar, active_table(active, self.metric)))

    def started(self, run: PlannedRun) -> None:
        """Say that a run starts, where there is no live table."""
        if not self.console.is_terminal:
            self._say(f"started   {name(run)}")

    def ended(self, outcome: Outcome) -> None:
        """Say how a run ended."""
        self._bar.advance(self._task)
        took = duration(outcome.seconds)
        if outcome.error is None:
            self._say(f"[green]finished[/]  {escaped(name(outcome.run))}, {took}")
        else:
            self._failed += 1
            self._say(f"[red]failed[/]    {escaped(name(outcome.run))}, {took}: ", outcome.error)

    def _say(self, text: str, plain: str = "") -> None:
        self.console.print(text, end="" if plain else "\n", highlight=False, soft_wrap=True)
        if plain:
            self.console.print(plain, highlight=False, markup=False, soft_wrap=True)


def name(run: PlannedRun) -> str:
    """Row, data set and seeds of a run."""
    return f"{run.label} on {run.dataset}, seed {run.seed}, split {run.split_seed}"


def active_table(active: Iterable[Active], metric: str) -> FittingTable:
    """A line per run at work: its epoch, its last losses and validation metric, its pace."""
    table = FittingTable(["row", "dataset", "seed", "epoch", "loss", f"valid {metric}", "best",
                          "s/epoch", "since"], names=["row", "dataset"],
                         drop=["loss", "s/epoch", "since", "best", f"valid {metric}"])
    for one in active:
        run, rows = one.run, one.rows
        since = duration(time.monotonic() - one.started)
        if not rows:
            table.add_row(escaped(run.label), escaped(run.dataset), str(run.seed), "loading",
                          "", "", "", "", since)
            continue
        scores = [row["valid"][metric] for row in rows
                  if (row.get("valid") or {}).get(metric) is not None]
        losses = [v for v in (rows[-1].get("losses") or {}).values() if v is not None]
        pace = [sum(v or 0 for v in (row.get("seconds") or {}).values()) for row in rows]
        table.add_row(
            escaped(run.label), escaped(run.dataset), str(run.seed),
            f"{rows[-1]['epoch'] + 1}/{run.epochs}",
            f"{sum(losses):.4f}", f"{scores[-1]:.4f}" if scores else "",
            f"{max(scores):.4f}" if scores else "", f"{sum(pace) / len(pace):.1f}", since)
    return table


def result_table(plan: Plan, records: Sequence[RunRecord | None]) -> FittingTable:
    """Mean and standard deviation over seeds of the comparison's metrics.

    Args:
        records: the finished run of each of ``plan.runs``, None where there is none.
    """
    metrics = plan.comparison.metrics
    table = FittingTable(["dataset", "row", "seeds", *metrics], names=["dataset", "row"],
                         drop=["seeds", *metrics[:0:-1]])
    grouped: dict[tuple[str, str], list[RunRecord]] = {}
    for run, record in zip(plan.runs, records):
        grouped.setdefault((run.dataset, run.label), [])
        if record is not None:
            grouped[run.dataset, run.label].append(record)
    for (dataset, label), found in grouped.items():
        table.add_row(escaped(dataset), escaped(label), str(len(found)),
                      *(_cell(found, m) for m in metrics))
    return table


def _cell(records: Sequence[RunRecord], metric: str) -> str:
    values = tuple(record.test[metric] for record in records if metric in record.test)
    if not values:
        return "-"
    spread = Measure(values)
    return f"{spread.mean:.4f}" + ("" if spread.sd is None else f" ± {spread.sd:.4f}")
