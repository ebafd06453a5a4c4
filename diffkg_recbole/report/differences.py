"""Differences between rows, user by user; each pair of rows is tested once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from diffkg_recbole.errors import UserError
from diffkg_recbole.report.results import Row, Section, reason
from diffkg_recbole.statistics import PairedTest, check_comparable, holm, paired_test, user_means
from diffkg_recbole.text import metric_name

LEVEL = 0.05
"""A difference counts as significant if both Holm-corrected p values lie below."""

KINDS = ("paired t-test", "Wilcoxon signed-rank test")
"""How each comparison is tested; both two-sided, over the users."""


@dataclass(frozen=True)
class Difference:
    """One row compared with another on the section's metric; ``difference`` = row - reference.

    Args:
        test: the paired tests.
        p_t, p_wilcoxon: Holm-corrected over the family the comparison belongs to.
    """

    row: Row
    reference: Row
    test: PairedTest
    p_t: float
    p_wilcoxon: float

    @property
    def difference(self) -> float:
        """Mean difference over the users."""
        return self.test.difference

    @property
    def low(self) -> float:
        """Lower end of the 95 % bootstrap interval."""
        return self.test.interval[0]

    @property
    def high(self) -> float:
        """Upper end of the 95 % bootstrap interval."""
        return self.test.interval[1]

    @property
    def direction(self) -> str:
        """``better`` or ``worse`` (both tests agree), ``same`` (neither) or ``unclear``."""
        significant = (self.p_t < LEVEL) + (self.p_wilcoxon < LEVEL)
        if significant == 0:
            return "same"
        if significant == 1:
            return "unclear"
        return "better" if self.difference > 0 else "worse"


@dataclass(frozen=True)
class Family:
    """The comparisons whose p values are corrected together.

    Args:
        name: what is compared, in words.
        metric: the one metric that is tested.
        size: how many comparisons; each is tested in :data:`KINDS` ways.
    """

    name: str
    metric: str
    size: int

    @property
    def sentence(self) -> str:
        """How many tests, which, and how they are corrected."""
        many = f"{self.size} comparisons" if self.size > 1 else "1 comparison"
        return (f"{self.name[:1].upper()}{self.name[1:]}: {many} in {metric_name(self.metric)}, "
                f"each by a {' and a '.join(KINDS)}; Holm's correction over the {self.size} p "
                f"value{'s' if self.size > 1 else ''} of each kind of test")


class Comparer:
    """Compares rows of a section; per-user means and tests are computed once and kept.

    Args:
        section: its rows must have seen the same data.

    Raises:
        IncomparableError: if they did not; the message says what differs.
    """

    def __init__(self, section: Section) -> None:
        if section.rows:
            check_comparable({row.label: row.runs for row in section.rows})
        self._metric = section.metric
        self._means: dict[str, pd.Series] = {}
        self._tests: dict[tuple[str, str], PairedTest] = {}
        self.missing: dict[str, str] = {}
        """Label -> why a row cannot be tested."""
        for row in section.rows:
            try:
                self._means[row.label] = user_means(row.runs, [self._metric])[self._metric]
            except UserError as error:  # no users.parquet, or other users in one of the seeds
                self.missing[row.label] = reason(error)

    def family(self, pairs: Sequence[tuple[Row, Row]]) -> list[Difference | None]:
        """Compare each pair (row, reference); the Holm correction covers all of them.

        Returns:
            One entry a pair, None where a row has no per-user metrics.
        """
        tests = [self._test(row, reference) for row, reference in pairs]
        known = [test for test in tests if test is not None]
        p_t = iter(holm([test.p_t for test in known]))
        p_w = iter(holm([test.p_wilcoxon for test in known]))
        return [None if test is None else Difference(row, reference, test, next(p_t), next(p_w))
                for test, (row, reference) in zip(tests, pairs)]

    def _test(self, row: Row, reference: Row) -> PairedTest | None:
        key = (row.label, reference.label)
        if any(label in self.missing for label in key):
            return None
        if key not in self._tests:
            one, two = (self._means[label] for label in key)
            if len(one) != len(two) or not two.index.isin(one.index).all():
                self.missing[row.label] = f"tested on other users than {reference.label}"
                return None
            self._tests[key] = paired_test(
                one.to_numpy(), two.reindex(one.index).to_numpy(), first_name=row.label,
                second_name=reference.label, metric=self._metric)
        return self._tests[key]
