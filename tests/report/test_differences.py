"""Paired comparisons of rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from diffkg_recbole.report import Report, build_report
from diffkg_recbole.report.differences import Comparer, Difference
from diffkg_recbole.report.results import Row, sections
from diffkg_recbole.store import RunStore
from tests.report.fake_runs import FakeRun, write_fake_run


def _user_means(row: Row) -> np.ndarray:
    """Recall of each user, averaged over the seeds, read without the package's statistics."""
    tables = [pd.read_parquet(run.folder / "users.parquet").set_index("user")["recall@20"]
              for run in row.runs]
    return pd.concat(tables, axis=1).mean(axis=1).sort_index().to_numpy()


def _holm(p_values: list[float]) -> list[float]:
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for step, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - step) * p_values[place]))
        corrected[place] = largest
    return corrected


def test_differences_and_holm_against_a_plain_version(showcase: Report) -> None:
    one = showcase.sections[0]
    reference = _user_means(one.reference)
    differences = {row.label: _user_means(row) - reference
                   for row in one.section.rows if row is not one.reference}
    p_t = _holm([stats.ttest_rel(d, np.zeros_like(d)).pvalue for d in differences.values()])
    p_w = _holm([stats.wilcoxon(d[np.abs(d) > 1e-12].round(12)).pvalue
                 for d in differences.values()])
    assert len(differences) == 13
    for place, (label, difference) in enumerate(differences.items()):
        found = one.comparisons[label]
        assert found.difference == pytest.approx(difference.mean(), abs=1e-12)
        assert found.p_t == pytest.approx(p_t[place], rel=1e-6)
        assert found.p_wilcoxon == pytest.approx(p_w[place], rel=1e-6)
        assert found.low < found.difference < found.high
        error = difference.std(ddof=1) / np.sqrt(len(difference))
        assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_difference_equals_the_difference_of_the_means(showcase: Report) -> None:
    one = showcase.sections[0]
    for label, found in one.comparisons.items():
        means = [row.metrics["recall@20"].mean for row in (one.section.row(label), one.reference)]
        assert found.difference == pytest.approx(means[0] - means[1], abs=1e-12)


@pytest.mark.parametrize(("p_t", "p_wilcoxon", "sign", "direction"), [
    (0.01, 0.04, 1, "better"), (0.01, 0.04, -1, "worse"), (0.05, 0.9, 1, "same"),
    (0.04, 0.05, -1, "unclear"), (0.06, 0.001, 1, "unclear")])
def test_direction(
    showcase: Report, p_t: float, p_wilcoxon: float, sign: int, direction: str
) -> None:
    known = next(iter(showcase.sections[0].comparisons.values()))
    test = replace(known.test, difference=sign * 0.1)
    assert Difference(known.row, known.reference, test, p_t, p_wilcoxon).direction == direction


def test_a_row_without_user_metrics_is_left_out_of_the_family(tmp_path: Path) -> None:
    for model, quality in (("BPR", 0.1), ("SGL", 0.3), ("EASE", 0.2)):
        folder = write_fake_run(tmp_path, FakeRun(model, quality, users=50, items=30))
        if model == "SGL":
            (folder / "users.parquet").unlink()
    one = build_report(RunStore(tmp_path).scan().records, reference="BPR").sections[0]
    assert set(one.comparisons) == {"EASE"}
    assert one.comparisons["EASE"].p_t == one.comparisons["EASE"].test.p_t  # one test: no factor
    assert "SGL is not tested against others: users.parquet is missing." in one.notes


def test_rows_tested_on_other_users_are_not_compared(tmp_path: Path) -> None:
    write_fake_run(tmp_path, FakeRun("BPR", users=50, items=30))
    other = write_fake_run(tmp_path, FakeRun("SGL", users=50, items=30))
    users = pd.read_parquet(other / "users.parquet")
    users.assign(user="x" + users["user"]).to_parquet(other / "users.parquet")
    (section,) = sections(RunStore(tmp_path).scan().records)
    comparer = Comparer(section)
    assert comparer.family([(section.row("SGL"), section.row("BPR"))]) == [None]
    assert comparer.missing == {"SGL": "tested on other users than BPR"}
