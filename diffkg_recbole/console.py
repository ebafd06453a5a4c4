"""What the commands show on a terminal alike: widths, durations, and the view of a long job."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from diffkg_recbole.text import one_line

_View = TypeVar("_View", bound="ProgressView")


def escaped(value: object) -> str:
    """Text of a file or a user for rich: on one line, and never its markup or a control code."""
    return escape(one_line(value))


def wide_console() -> Console:
    """Tables keep their width in pipes and files, where there is no terminal to fit."""
    console = Console()
    return console if console.is_terminal else Console(width=200)


def duration(seconds: float | None) -> str:
    """Seconds in words: ``45 s``, ``3 min 20 s``, ``2 h 05 min``; None is ``unknown``."""
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


class ProgressView:
    """A bar over all parts of a job, live on a terminal and silent elsewhere.

    Args:
        noun: what is counted, such as "runs".
        total: how many there are.
        completed: how many are done already.
        console: where to.
    """

    def __init__(self, noun: str, total: int, console: Console, completed: int = 0) -> None:
        self.console = console
        self._bar = Progress(TextColumn(noun), BarColumn(), MofNCompleteColumn(),
                             TimeElapsedColumn(), TextColumn("{task.description}"),
                             console=console)
        self._task = self._bar.add_task("", total=total, completed=completed)
        self._live = Live(self._bar, console=console, refresh_per_second=4, transient=True)

    def __enter__(self: _View) -> _View:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._live.stop()


class FittingTable:
    """A table without lines that leaves columns out where the console is too narrow for all.

    The columns of ``names`` stay and may take several lines a row; numbers never do. Below the
    table stands what was left out.

    Args:
        columns: the titles.
        left: those set to the left.
        names: those that hold names.
        drop: those that may go, the first one first.
        header_style: style of the titles.
    """

    NAME_WIDTH = 16
    """Characters that a longer name has at least, before other columns go."""

    def __init__(
        self, columns: Sequence[str], *, left: Collection[str] = (), names: Collection[str] = (),
        drop: Sequence[str] = (), header_style: str = "bold",
    ) -> None:
        self.columns = list(columns)
        self._left, self._names = {*left, *names}, names
        self._drop, self._header_style = [title for title in drop if title in columns], header_style
        self._rows: list[tuple[str | Text, ...]] = []

    def add_row(self, *cells: str | Text) -> None:
        """Add a row of as many cells as there are columns."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        self._rows.append(cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unbounded = options.update(width=10_000)
        for count in range(len(self._drop) + 1):
            table = self._without(self._drop[:count])
            if console.measure(table, options=unbounded).minimum <= options.max_width:
                break
        yield table
        if count:
            yield Text(f"no room for: {', '.join(self._drop[:count])}", style="dim")

    def _without(self, dropped: Collection[str]) -> Table:
        table = Table(box=None, pad_edge=False, header_style=self._header_style)
        kept = [place for place, title in enumerate(self.columns) if title not in dropped]
        for place in kept:
            title = self.columns[place]
            is_name = title in self._names
            longest = max(cell_len(title),
                          *(cell_len(_plain(row[place])) for row in self._rows), 0)
            table.add_column(
                Text(title), justify="left" if title in self._left else "right",
                no_wrap=not is_name, overflow="fold",
                min_width=min(longest, self.NAME_WIDTH) if is_name else longest)
        for row in self._rows:
            table.add_row(*(row[place] for place in kept))
        return table


def _plain(cell: str | Text) -> str:
    return cell.plain if isinstance(cell, Text) else Text.from_markup(cell).plain
