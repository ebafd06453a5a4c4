"""One run that a comparison means, and whether a run folder holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffkg_recbole.plain import canonical_json
from diffkg_recbole.store import CorruptRunError, RunRecord, determining
from diffkg_recbole.text import flag_text

STATES = ("finished", "interrupted", "failed", "running", "new")


@dataclass(frozen=True)
class PlannedRun:
    """One run that a comparison file means.

    Args:
        label: the row it belongs to.
        model, dataset, seed, split_seed: what it is.
        settings: configuration keys that differ from the defaults.
        key: text that is equal for runs with the same determining configuration.
        epochs: most epochs that it may take.
        files: hashes, now, of the dataset's files that the model reads.
        code: names the code that would run now (:func:`diffkg_recbole.store.code_hash`).
        device: kind of the device that would be used; None where it is another machine's.
        record: the run in the store, None if there is none.
        seconds: estimated from finished runs of the same kind, None if there are none.
    """

    label: str
    model: str
    dataset: str
    seed: int
    split_seed: int
    settings: dict[str, Any]
    key: str
    epochs: int
    files: dict[str, str]
    code: str
    device: str | None = "cpu"
    record: RunRecord | None = None
    seconds: float | None = None

    @property
    def state(self) -> str:
        """One of :data:`STATES`."""
        return "new" if self.record is None else self.record.status

    @property
    def flags(self) -> list[str]:
        """Flags that make ``diffkg-recbole train`` do this run."""
        values = {"model": self.model, "dataset": self.dataset, **self.settings}
        return [f"--{key}={flag_text(value)}" for key, value in values.items()]

    def is_recorded_in(self, record: RunRecord, same_files: bool = True) -> bool:
        """Whether a run folder holds this run: same configuration, same code, same files,
        and, where it is finished, as it was when it finished.

        Args:
            same_files: False accepts other files, which may still hold the same pairs.
        """
        if (record.model, record.dataset, record.seed) != (self.model, self.dataset, self.seed):
            return False
        recorded = record.get("data_files")
        if same_files and recorded is not None and not self.files.items() <= recorded.items():
            return False
        if (record.get("code") or {}).get("hash") != self.code:
            return False
        if self.device is not None and record.get("device") != self.device:
            return False
        if record.finished and record.damage():
            return False  # the training makes it anew
        try:
            return configuration_key(record.config()) == self.key
        except CorruptRunError:
            return False


def configuration_key(configuration: Mapping[str, Any]) -> str:
    """Text that is equal for equal determining parts of a resolved configuration."""
    return canonical_json(determining(configuration))
