"""Paired per-user tests between models, their correction and their intervals."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from diffkg_recbole.errors import UserError
from diffkg_recbole.statistics.same_data import data_key
from diffkg_recbole.store import CorruptRunError, RunRecord

RESAMPLES = 2000  # the ends of a 95 % interval then move by about 3 % of its width
_NOISE_DIGITS = 12  # means over seeds in another order differ in the last bits: no difference


@dataclass(frozen=True)
class PairedTest:
    """Two rows of a table compared user by user on one metric; ``difference`` = first - second.

    Args:
        first, second, metric: what was compared.
        users: number of users.
        mean_first, mean_second, difference: means over users.
        interval: bootstrap confidence interval of the mean difference.
        t, p_t: two-sided paired t-test.
        w, p_wilcoxon: two-sided Wilcoxon signed-rank test; users without a difference are left
            out (Wilcoxon's own treatment).
        effect_size: Cohen's d_z, mean over standard deviation of the differences; infinite if
            every user has the same difference.
    """

    first: str
    second: str
    metric: str
    users: int
    mean_first: float
    mean_second: float
    difference: float
    interval: tuple[float, float]
    t: float
    p_t: float
    w: float
    p_wilcoxon: float
    effect_size: float


def user_means(records: Sequence[RunRecord], metrics: Sequence[str]) -> pd.DataFrame:
    """Each user's metrics, averaged over the seeds of a split, then over splits.

    Args:
        records: runs of one row.
        metrics: columns of ``users.parquet``.

    Returns:
        Float64 columns ``metrics``, indexed by user token.

    Raises:
        UserError: if a run lacks a metric or a user that another run of the same split has.
    """
    splits: dict[tuple, list[RunRecord]] = {}
    for record in records:
        splits.setdefault(data_key(record), []).append(record)
    means = []
    for runs in splits.values():
        total = _user_table(runs[0], metrics)
        for run in runs[1:]:
            table = _user_table(run, metrics)
            _check_same_users(runs[0], total.index, run, table.index)
            total = total + table.reindex(total.index)
        means.append(total / len(runs))
    if len(means) == 1:
        return means[0]
    return pd.concat(means).groupby(level=0, sort=False).mean()


def _user_table(record: RunRecord, metrics: Sequence[str]) -> pd.DataFrame:
    table = record.users()
    unknown = [metric for metric in metrics if metric not in table.columns]
    if unknown:
        raise UserError(f"run {record.folder.name} has no per-user values of {unknown}; "
                        f"it has {list(table.columns[2:])}")
    table = table.set_index("user")[list(metrics)]
    if table.index.has_duplicates or table.isna().any(axis=None):
        raise CorruptRunError(record.folder, "users.parquet has repeated users or empty values")
    return table


def _check_same_users(
    first: RunRecord, users: pd.Index, second: RunRecord, others: pd.Index
) -> None:
    for run, missing in ((second, users.difference(others)), (first, others.difference(users))):
        if len(missing):
            other = first if run is second else second
            raise UserError(f"run {run.folder.name} lacks {len(missing)} users that run "
                            f"{other.folder.name} has, e.g. '{missing[0]}'")


def paired_test(
    first: np.ndarray, second: np.ndarray, *, first_name: str = "first",
    second_name: str = "second", metric: str = "", confidence: float = 0.95,
    resamples: int = RESAMPLES, seed: int = 0,
) -> PairedTest:
    """Two-sided paired t and Wilcoxon tests, effect size and bootstrap interval.

    Args:
        first, second: a value per user, in the same order. [users]

    Raises:
        UserError: for fewer than two users.
        ValueError: if the shapes differ or a value is not finite.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"paired values need one shape [users], got {first.shape}, "
                         f"{second.shape}")
    if len(first) < 2:
        raise UserError(f"a paired test needs at least two users, got {len(first)}")
    differences = np.round(first - second, _NOISE_DIGITS)
    if not np.isfinite(differences).all():
        raise ValueError("paired values must be finite")
    t, p_t, effect = _t_test(differences)
    w, p_w = _wilcoxon(differences)
    return PairedTest(
        first=first_name, second=second_name, metric=metric, users=len(first),
        mean_first=float(first.mean()), mean_second=float(second.mean()),
        difference=float(differences.mean()),
        interval=bootstrap_interval(differences, confidence, resamples, seed),
        t=t, p_t=p_t, w=w, p_wilcoxon=p_w, effect_size=effect,
    )


def _t_test(differences: np.ndarray) -> tuple[float, float, float]:
    """t, p and Cohen's d_z. No user differs: t = 0, p = 1; all by the same: t infinite, p = 0."""
    if np.ptp(differences) == 0:
        if differences[0] == 0:
            return 0.0, 1.0, 0.0
        infinite = float(np.copysign(np.inf, differences[0]))
        return infinite, 0.0, infinite
    t, p = stats.ttest_1samp(differences, 0.0)
    return float(t), float(p), float(differences.mean() / differences.std(ddof=1))


def _wilcoxon(differences: np.ndarray) -> tuple[float, float]:
    """Signed-rank statistic and p; p = 1 when no user differs, where SciPy has no answer."""
    if not differences.any():
        return 0.0, 1.0
    result = stats.wilcoxon(differences[differences != 0])
    return float(result.statistic), float(result.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: with m tests, the k-th smallest p (k from 0) becomes
    max over j <= k of min(1, (m - j) p_j). Order is kept."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    steps = np.minimum(1.0, p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.maximum.accumulate(steps)
    return corrected.tolist()


def bootstrap_interval(
    differences: np.ndarray, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over users (memory below about 100 MB)."""
    if np.ptp(differences) == 0:
        return float(differences[0]), float(differences[0])
    name = "rng" if "rng" in inspect.signature(stats.bootstrap).parameters else "random_state"
    generator: dict[str, Any] = {name: np.random.default_rng(seed)}  # SciPy 1.15 renamed it
    interval = stats.bootstrap(
        (differences,), np.mean, n_resamples=resamples, method="percentile",
        confidence_level=confidence, vectorized=True, batch=max(1, 2_000_000 // len(differences)),
        **generator,
    ).confidence_interval
    return float(interval.low), float(interval.high)
