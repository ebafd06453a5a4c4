"""What the commands show on a terminal alike: widths, durations, and the view of a long job."""

from __future__ import annotations

from typing import TypeVar

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

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
