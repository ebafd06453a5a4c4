"""The neutral leaderboard and the words it is written with."""

from __future__ import annotations

import pytest

from diffkg_recbole.report import Report
from diffkg_recbole.report.results import Measure, Section
from diffkg_recbole.report.table import leaderboard
from diffkg_recbole.report.words import cost, flattened, interval, mean_sd, p_value, signed
from diffkg_recbole.text import metric_name, one_line


def test_best_and_second_of_every_metric(showcase: Report) -> None:
    one = showcase.sections[0]
    board = leaderboard(one)
    for metric in one.section.metrics:
        place = [column.title for column in board.columns].index(metric_name(metric))
        means = [row.metrics[metric].mean for row in board.rows]
        for mean, line in zip(means, board.cells):
            better = sum(other > mean for other in means)  # two best rows leave no second
            assert line[place].place == {0: 1, 1: 2}.get(better, 0)
            assert line[place].value == mean


def test_marks_agree_with_the_comparisons(showcase: Report) -> None:
    one = showcase.sections[0]
    board = leaderboard(one)
    place = [column.title for column in board.columns].index("Recall@20")
    expected = {"better": "▲", "worse": "▼", "same": "", "unclear": "?"}
    marks = {row.label: line[place].mark for row, line in zip(board.rows, board.cells)}
    assert marks == {**{label: expected[found.direction]
                        for label, found in one.comparisons.items()}, one.reference.label: ""}
    assert "▼" in marks.values()


def test_validation_scores_stand_where_they_are_not_the_test(
    showcase: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = leaderboard(showcase.sections[0])
    place = [column.title for column in board.columns].index("Validation Recall@20")
    assert board.columns[place].group == "more"
    for row, line in zip(board.rows, board.cells):
        scores = [run.valid["recall@20"] for run in row.runs]
        assert line[place].value == pytest.approx(sum(scores) / len(scores))
    monkeypatch.setattr(Section, "test_selected", True)
    titles = [column.title for column in leaderboard(showcase.sections[0]).columns]
    assert "Validation Recall@20" not in titles


def test_costs_that_nobody_measured_have_no_column(showcase: Report) -> None:
    titles = [c.title for c in leaderboard(showcase.sections[0]).columns if c.group == "cost"]
    assert titles == ["Parameters", "Seconds per epoch", "Total seconds", "Peak host MB"]


def test_numbers_as_words() -> None:
    assert mean_sd(Measure((0.1, 0.2))) == "0.1500 ± 0.0707"
    assert mean_sd(Measure((0.1,))) == "0.1000"
    assert mean_sd(None) == "–"
    assert (signed(0.00123), signed(-0.5), signed(-0.00001)) == ("+0.0012", "−0.5000", "+0.0000")
    assert interval(-0.1, 0.2) == "−0.1000 to +0.2000"
    assert (p_value(0.0004), p_value(0.0496)) == ("< 0.001", "0.050")
    assert cost("parameters", Measure((1_234_567.0,))) == "1,234,567"
    assert [cost("seconds_total", Measure((v,))) for v in (0.123, 12.34, 1234.5)] == [
        "0.12", "12.3", "1,234"]
    assert (metric_name("ndcg@10"), metric_name("averagepopularity@5")) == (
        "NDCG@10", "AveragePopularity@5")


@pytest.mark.parametrize(("text", "expected"), [
    ("a\nb\tc", "a b c"), ("\x1b[31mred", "[31mred"), ("\u202eabc\u200b", "abc"), (5, "5")])
def test_one_line_takes_out_what_steers_terminals(text: object, expected: str) -> None:
    assert one_line(text) == expected


def test_flattened() -> None:
    nested = {"overlap": {"train_test": 1200}, "disjoint": True, "gpus": [], "note": None}
    assert flattened(nested) == [("Overlap: train test", "1,200"), ("Disjoint", "yes"),
                                 ("Gpus", "–"), ("Note", "–")]
