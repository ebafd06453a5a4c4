"""What the sub-commands that run for long have in common."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def at_least_one(text: str) -> int:
    """Type of a flag: a whole number of at least 1."""
    number = int(text) if text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number of at least 1")
    return number


@contextmanager
def termination_interrupts() -> Iterator[None]:
    """A termination, as clusters send it, ends like Ctrl-C: the same command can go on later."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
