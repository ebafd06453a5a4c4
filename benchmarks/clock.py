"""Timing two forms of the same computation in turns."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Work:
    """What a computation has to do and to move at least, whatever its form.

    Attributes:
        operations: floating-point operations (a multiplication and an addition are two).
        traffic: bytes that must be read from or written to memory once.
    """

    operations: float
    traffic: float

    def __add__(self, other: Work) -> Work:
        return Work(self.operations + other.operations, self.traffic + other.traffic)


@dataclass(frozen=True)
class Pair:
    """A computation in its plain form and in ours.

    Attributes:
        phase: name in tables.
        data: name of the data.
        plain, ours: callables without arguments; what they return is ignored.
        check: compares the two by value and returns the largest relative difference; raises
            :class:`Disagreement` where it is too large.
        work: least work of ours, None where there is no telling.
        target: ratio to reach, if any.
        once: the part of ours whose cost does not depend on the number of rows.
        share: of all rows, how many the two forms are timed on.
    """

    phase: str
    data: str
    plain: Callable[[], Any]
    ours: Callable[[], Any]
    check: Callable[[], float]
    work: Work | None = None
    target: float | None = None
    once: Callable[[], Any] | None = None
    share: float = 1.0


_SHORTEST = 0.02  # seconds that a sample lasts at least: shorter calls are repeated within it


class Disagreement(AssertionError):
    """The two forms of a pair give different values."""


@dataclass
class Series:
    """Seconds of a call, by samples: elapsed, and of processor time over all threads.

    ``first`` is the elapsed time of a sample's first call alone, which finds the caches as the
    other form left them.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)

    def add(self, run: Callable[[], Any]) -> None:
        """Time a sample: one call, or as many as fill the shortest sample (by the last one)."""
        calls = max(math.ceil(_SHORTEST / max(self.wall[-1], 1e-6)), 1) if self.wall else 1
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        self.first.append(time.perf_counter() - wall)
        for _ in range(calls - 1):
            run()
        self.cpu.append((time.process_time() - cpu) / calls)
        self.wall.append((time.perf_counter() - wall) / calls)

    def drop_first(self) -> None:
        """Forget the run that warmed up."""
        del self.wall[0], self.cpu[0], self.first[0]

    def summary(self) -> dict[str, float]:
        """Median and best of both clocks, and the median of first calls."""
        return {
            "median": statistics.median(self.wall), "best": min(self.wall),
            "cpu_median": statistics.median(self.cpu), "cpu_best": min(self.cpu),
            "first": statistics.median(self.first),
        }


def measure(pair: Pair, repeats: int, budget: float = 60.0) -> dict[str, Any]:
    """Check a pair and time plain, ours, plain, ours, ...

    Args:
        pair: what to measure.
        repeats: runs of each form after a first one that only warms up; fewer (but at least two)
            where the budget ends first. Long computations run twice and both runs count.
        budget: seconds.

    Returns:
        plain data: both summaries, the ratios (above 1: ours is faster), the difference.

    Raises:
        Disagreement: the two forms give different values.
    """
    difference = pair.check()
    plain, ours = Series(), Series()
    end = time.perf_counter() + budget
    while len(ours.wall) < repeats + 1 and (len(ours.wall) < 3 or time.perf_counter() < end):
        plain.add(pair.plain)
        ours.add(pair.ours)
        if plain.wall[0] > budget / 6 and len(ours.wall) == 2:
            break  # so long a first run was no mere warming up: it counts
    else:
        plain.drop_first()
        ours.drop_first()
    both = {"plain": plain.summary(), "ours": ours.summary()}
    return {
        "phase": pair.phase, "data": pair.data, "difference": difference, **both,
        "ratio": {clock: both["plain"][clock] / max(both["ours"][clock], 1e-12)
                  for clock in both["plain"]},
        "whole_ratio": _whole_ratio(pair, both), "share": pair.share,
        "runs": len(ours.wall), "threads": torch.get_num_threads(), "target": pair.target,
        "work": None if pair.work is None else {
            "operations": pair.work.operations, "traffic": pair.work.traffic},
    }


def _whole_ratio(pair: Pair, both: dict[str, dict[str, float]]) -> float | None:
    """Ratio of processor time for all rows, from the timed share of them."""
    if pair.share == 1 or pair.once is None:
        return None
    series = Series()
    for _ in range(2):
        series.add(pair.once)
    once, ours = series.summary()["cpu_best"], both["ours"]["cpu_best"]
    rest = max(ours - once, 0.0)
    return both["plain"]["cpu_best"] / pair.share / (once + rest / pair.share)


def compare(name: str, plain: Any, ours: Any, tolerance: float) -> float:
    """Largest difference of two tensors relative to the largest entry.

    Raises:
        Disagreement: it exceeds the tolerance, or the shapes differ.
    """
    if plain.shape != ours.shape:
        raise Disagreement(f"{name}: shapes {tuple(plain.shape)} and {tuple(ours.shape)}")
    if plain.numel() == 0:
        return 0.0
    plain, ours = plain.detach().double(), ours.detach().double()
    scale = max(float(plain.abs().max()), 1e-30)
    difference = float((plain - ours).abs().max()) / scale
    if not difference <= tolerance:
        raise Disagreement(f"{name}: the two forms differ by {difference:.1e} of the largest "
                           f"entry, more than {tolerance:.0e}")
    return difference
