"""One progress bar over the steps of a conversion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Step = Callable[[str], None]


def no_step(description: str) -> None:
    """A step callback that shows nothing."""


@contextmanager
def steps(console: Console, total: int) -> Iterator[Step]:
    """Yield a function that is told each step as it begins.

    The bar vanishes at the end; where the output is no terminal there is none.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("starting", total=total)
        begun = False

        def step(description: str) -> None:
            nonlocal begun
            progress.update(task, description=description, advance=1 if begun else 0)
            begun = True

        yield step
