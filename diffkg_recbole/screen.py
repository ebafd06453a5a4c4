"""What a training tells whoever shows it; this one shows nothing, as a library should."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any


class Screen:
    """Told of a training from its start to its result; a subclass shows it.

    Data-parallel processes get a copy each, of which only the first one's is used.
    """

    def listening(self, config: Any) -> AbstractContextManager[None]:
        """Open while data are read and the model is trained: the time to show the log."""
        return nullcontext()

    def start(
        self, config: Any, audit: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]
    ) -> None:
        """Training begins.

        Args:
            config: its configuration.
            audit: counts of the data.
            earlier: reports of the epochs before an interruption.
        """

    def epoch(self, report: Mapping[str, Any]) -> None:
        """An epoch is over; ``report`` is that of ``PluginTrainer.on_epoch``."""

    def end(self, record: Mapping[str, Any], folder: Path, found: bool = False) -> None:
        """The run is finished.

        Args:
            record: its ``run.json``.
            folder: its folder.
            found: it was in the store; nothing was trained.
        """
