"""The log of a run: into its folder, with the host program's logging as it was.

RecBole logs everything on the root logger, at INFO. Meanwhile that logger listens to what the key
``state`` asks for; what a host program's own handlers would not have seen, they still do not see.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_COLOUR_CODE = re.compile(r"\x1B(?:[@-Z\\-_]|\[[0-?]*[ -/]*[@-~])")


class Plain(logging.Formatter):
    """Lines without terminal colours."""

    def format(self, record: logging.LogRecord) -> str:
        return _COLOUR_CODE.sub("", super().format(record))


@contextmanager
def listening(state: str | None) -> Iterator[None]:
    """Let the root logger take what ``state`` asks for, and no handler of before see more."""
    root = logging.getLogger()
    before, handlers = root.level, root.handlers[:]
    level = logging.getLevelName((state or "info").upper())

    def as_before(record: logging.LogRecord) -> bool:
        return record.name != "root" or record.levelno >= before

    for handler in handlers:
        handler.addFilter(as_before)
    root.setLevel(level if isinstance(level, int) else logging.INFO)
    try:
        yield
    finally:
        root.setLevel(before)
        for handler in handlers:
            handler.removeFilter(as_before)


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Add the log to a file."""
    handler = logging.FileHandler(path, encoding="utf-8", delay=True,
                                  errors="backslashreplace")
    handler.setFormatter(Plain("%(asctime)s %(levelname)s  %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
