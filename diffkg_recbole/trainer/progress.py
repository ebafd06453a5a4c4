"""Progress bars of a training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from recbole.utils import set_color
from tqdm import tqdm


def progress_bar(total: int, name: str, show: bool, steps: Iterable[Any] | None = None) -> tqdm:
    """A bar on the standard error stream: only on a terminal, as wide as it, gone when it is full.

    Args:
        total: steps of the whole.
        name: stands before the bar.
        show: False shows none on a terminal either.
        steps: what the bar is iterated over; without, ``update`` is called.
    """
    return tqdm(steps, total=total, desc=set_color(name, "pink"), dynamic_ncols=True, leave=False,
                disable=None if show else True)
