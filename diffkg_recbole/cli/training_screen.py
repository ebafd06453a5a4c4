"""What a training shows: what runs, a row an epoch, the result."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from diffkg_recbole.cli.summary import print_summary
from diffkg_recbole.console import duration, wide_console
from diffkg_recbole.run_log import Plain
from diffkg_recbole.run_tables import run_label
from diffkg_recbole.screen import Screen
from diffkg_recbole.store.key_classes import DISPLAYED
from diffkg_recbole.text import one_line

_GAP = "  "
_Report = Mapping[str, Any]


class _Column(NamedTuple):
    title: str
    width: int
    cell: Callable[[_Report], str]


class TrainingScreen(Screen):
    """The command's screen.

    With the configuration key ``screen: log`` it shows RecBole's log in place of the table.

    Args:
        console: where to; the standard output if not given. A screen without one can be handed
            to another process.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._given = console
        self._rows: EpochRows | None = None

    @property
    def _console(self) -> Console:
        return self._given or wide_console()

    @contextmanager
    def listening(self, config: Any) -> Iterator[None]:
        """Show the log meanwhile: warnings beside the table, all of it with ``screen: log``."""
        root = logging.getLogger()
        handler = _Warnings() if config["screen"] == "table" else _recbole_handler()
        root.addHandler(handler)
        try:
            yield
        finally:
            root.removeHandler(handler)

    def start(self, config: Any, audit: Mapping[str, Any], earlier: Sequence[_Report]) -> None:
        """Say what is trained."""
        if config["screen"] == "log":
            return
        console = self._console
        for line in introduction(config, audit):
            console.print(line, highlight=False, markup=False)
        console.print()
        self._rows = EpochRows(config, console)
        for report in earlier:
            self._rows.remember(report)
        if earlier:
            console.print(f"going on after epoch {earlier[-1]['epoch']}", highlight=False)

    def epoch(self, report: _Report) -> None:
        """Add the row of an epoch that is over."""
        if self._rows is not None:
            self._rows.show(report)

    def end(self, record: Mapping[str, Any], folder: Path, found: bool = False) -> None:
        """Show the result."""
        if found:
            self._console.print("This run is finished already. Pass --fresh to run it anew.",
                                highlight=False)
        print_summary(record, folder, self._console)


def introduction(config: Any, audit: Mapping[str, Any]) -> list[str]:
    """What is trained, on what, and with which settings of its own: a line each."""
    used = audit["used"]
    pairs = ", ".join(f"{used[part]:,} {part}" for part in ("train", "valid", "test"))
    graph = f"; graph: {audit['entities']:,} entities, {audit['triples']:,} triples" if (
        "triples" in audit) else ""
    changed = ", ".join(f"{key} {one_line(value)}" for key, value in own_settings(config).items())
    return [
        f"{one_line(run_label(config))} on {one_line(config['dataset'])}, protocol "
        f"{config['eval_protocol']}, seed {config['seed']}, {config['device']}",
        f"{audit['users']:,} users, {audit['items']:,} items; pairs: {pairs}{graph}",
        f"other than the defaults: {changed or 'nothing'}",
        f"epochs: {config['epochs']} at most; more than {config['stopping_step']} evaluations "
        "without a gain end it earlier",
    ]


def own_settings(config: Any) -> dict[str, Any]:
    """What was set for this run and differs from the defaults of RecBole, the package, the model
    and the data set; without model and data set, and keys that only say what is shown and where
    files lie."""
    defaults = config.internal_config_dict
    return {key: value for key, value in sorted(config.external_config_dict.items())
            if key not in DISPLAYED | {"model", "dataset"}
            and (key not in defaults or defaults[key] != value)}


class EpochRows:
    """The table of the epochs, written row by row, as wide as the console.

    A console that is too narrow for all losses shows the first ones only; then the edges go, the
    time. All of it is in ``epochs.jsonl``.
    """

    def __init__(self, config: Any, console: Console) -> None:
        self._console = console
        self._epochs: int = config["epochs"]
        self._metric: str = config["valid_metric"].lower()
        self._sign = 1 if config["valid_metric_bigger"] else -1
        self._best: float | None = None
        self._seconds: list[float] = []
        self._losses: list[str] = []
        self._has_edges = False
        self._columns: list[_Column] = []

    def remember(self, report: _Report) -> bool:
        """Take account of an epoch; returns whether it is the best one so far."""
        score = report.get("valid", {}).get(self._metric)
        better = score is not None and (
            self._best is None or self._sign * score > self._sign * self._best)
        if better:
            self._best = score
        return better

    def show(self, report: _Report) -> None:
        """Write an epoch's row, below a head where the columns are new."""
        better = self.remember(report)
        self._seconds.append(_seconds(report))
        new = [name for name in report["losses"] if name not in self._losses]
        has_edges = self._has_edges or _edges(report) is not None
        if new or not self._columns or has_edges != self._has_edges:
            self._losses, self._has_edges = [*self._losses, *new], has_edges
            self._columns = self._fitting(report)
            self._write([column.title for column in self._columns], "dim")
        self._write([column.cell(report) for column in self._columns], "bold" if better else "")

    def _write(self, cells: Sequence[str], style: str) -> None:
        line = _GAP.join(cell.rjust(column.width) for cell, column in zip(cells, self._columns))
        self._console.print(Text(line, style=style), soft_wrap=True)

    def _fitting(self, report: _Report) -> list[_Column]:
        """The columns that the console has room for."""
        losses = [_Column(name, max(len(name), len(_loss(report, name)) + 1, 8),
                          lambda report, name=name: _loss(report, name))  # type: ignore[misc]
                  for name in self._losses]
        edges = [_Column("edges", max(7, len(_edges(report) or "")), lambda r: _edges(r) or "-")
                 ] if self._has_edges else []
        epoch = _Column("epoch", 5, lambda report: str(report["epoch"]))
        score = [_Column(self._metric, max(6, len(self._metric)), self._score),
                 _Column("best", 6, lambda _: "-" if self._best is None else f"{self._best:.4f}")]
        seconds = _Column("seconds", 7, lambda report: f"{_seconds(report):.1f}")
        left = _Column("left", 11, self._left)
        columns = [epoch, *losses, *edges, *score, seconds, left]
        for least in (*losses[:0:-1], *edges, *losses[:1], left, seconds):
            if sum(column.width + len(_GAP) for column in columns) - len(_GAP) <= (
                    self._console.width):
                break
            columns.remove(least)
        return columns

    def _score(self, report: _Report) -> str:
        score = report.get("valid", {}).get(self._metric)
        return "-" if score is None else f"{score:.4f}"

    def _left(self, report: _Report) -> str:
        mean = sum(self._seconds) / len(self._seconds)
        return duration(mean * (self._epochs - report["epoch"] - 1))


def _loss(report: _Report, name: str) -> str:
    value = report["losses"].get(name)
    return "-" if value is None else f"{value:.4f}"


def _edges(report: _Report) -> str | None:
    """Edges of the graph that the model rebuilt in the epoch, if it rebuilds one."""
    edges = (report.get("graph") or {}).get("edges")
    return None if edges is None else f"{edges:,}"


def _seconds(report: _Report) -> float:
    """Of training and validation; the phases of a schedule are in that of training."""
    return sum(report["seconds"].get(part, 0.0) for part in ("train", "valid"))


class _Warnings(logging.Handler):
    """Warnings and errors on the standard error stream, a line each."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._console = Console(stderr=True)

    def emit(self, record: logging.LogRecord) -> None:
        message = Text.from_ansi(record.getMessage()).plain  # RecBole colours them
        self._console.print(f"{record.levelname.lower()}: {one_line(message)}", highlight=False,
                            markup=False, soft_wrap=True)


def _recbole_handler() -> logging.Handler:
    """RecBole's lines: time, level, message; colours on a terminal alone."""
    handler = logging.StreamHandler()
    kind = logging.Formatter if handler.stream.isatty() else Plain
    handler.setFormatter(kind("%(asctime)-15s %(levelname)s  %(message)s", "%d %b %H:%M"))
    return handler
