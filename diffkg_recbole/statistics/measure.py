"""A number measured once per seed, with its mean and spread."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A number measured once per seed.

    Args:
        values: one per seed, in the order of the runs.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return math.fsum(self.values) / len(self.values)

    @property
    def sd(self) -> float | None:
        """Sample standard deviation (n - 1) over the seeds; None for a single one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None
