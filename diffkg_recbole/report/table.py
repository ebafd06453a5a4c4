"""The leaderboard as a neutral table, which terminal, Markdown, LaTeX and HTML write down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diffkg_recbole.report.analysis import SectionReport
from diffkg_recbole.report.published import METRICS as PUBLISHED_METRICS
from diffkg_recbole.report.results import COSTS, Measure, Row
from diffkg_recbole.report.words import COST_NAMES, cost, interval, mean_sd, p_value, places, signed
from diffkg_recbole.text import metric_name

SHOWN_METRICS = 2
"""Metrics in the main part of the table; the others are in a group of their own."""

MARKS = {"better": "▲", "worse": "▼", "same": "", "unclear": "?"}
MARKS_MEANING = ("▲ significantly better than the reference, ▼ significantly worse, "
                 "? the two tests disagree; no mark: no significant difference")


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        title: what stands above it.
        group: ``row``, ``metrics``, ``more``, ``difference``, ``cost`` or ``published``.
        hint: longer explanation, may be empty.
        numeric: whether its cells are numbers, set to the right.
        marked: whether its cells may carry significance marks.
    """

    title: str
    group: str
    hint: str = ""
    numeric: bool = True
    marked: bool = False


@dataclass(frozen=True)
class Cell:
    """One cell.

    Args:
        text: as written.
        value: what it is sorted by; None is last in any order.
        place: 1 = best, 2 = second, 0 = not ranked, in columns where places mean something.
        mark: significance mark, one of :data:`MARKS`.
    """

    text: str
    value: float | str | None
    place: int = 0
    mark: str = ""


@dataclass(frozen=True)
class Leaderboard:
    """Columns, and for each row of the section its cells."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    cells: tuple[tuple[Cell, ...], ...]

    def only(self, *groups: str) -> Leaderboard:
        """The columns of these groups."""
        kept = [place for place, column in enumerate(self.columns) if column.group in groups]
        return Leaderboard(tuple(self.columns[place] for place in kept), self.rows,
                           tuple(tuple(line[place] for place in kept) for line in self.cells))

    @property
    def groups(self) -> list[str]:
        """Groups that have a column, in order."""
        return list(dict.fromkeys(column.group for column in self.columns))


_EMPTY = Cell("–", None)


def leaderboard(report: SectionReport) -> Leaderboard:
    """The table of a section, best row first."""
    rows = report.section.rows
    parts = [_row_part(report), _metric_part(report), _difference_part(report),
             _validation_part(report), _cost_part(rows), _published_part(report)]
    columns = tuple(column for part_columns, _ in parts for column in part_columns)
    cells = tuple(tuple(cell for _, lines in parts for cell in lines[place])
                  for place in range(len(rows)))
    return Leaderboard(columns, tuple(rows), cells)


Part = tuple[list[Column], list[list[Cell]]]


def _row_part(report: SectionReport) -> Part:
    place = places(report.section.rows, report.section.metric)
    columns = [Column("#", "row", f"place by {metric_name(report.section.metric)}"),
               Column("Model", "row", numeric=False), Column("Seeds", "row", "number of seeds")]
    return columns, [
        [Cell(str(place[row.label]), float(place[row.label])) if row.label in place else _EMPTY,
         Cell(row.label, row.label.lower()), Cell(str(len(row.runs)), float(len(row.runs)))]
        for row in report.section.rows]


def _metric_part(report: SectionReport) -> Part:
    section = report.section
    columns, lines = [], [[] for _ in section.rows]  # type: tuple[list[Column], list[list[Cell]]]
    for number, metric in enumerate(section.metrics):
        group = "metrics" if number < SHOWN_METRICS else "more"
        columns.append(Column(metric_name(metric), group, "mean ± standard deviation over seeds",
                              marked=metric == section.metric and bool(report.comparisons)))
        ranks = places(section.rows, metric)
        for row, line in zip(section.rows, lines):
            measure = row.metrics.get(metric)
            mark = ""
            if metric == section.metric and row.label in report.comparisons:
                mark = MARKS[report.comparisons[row.label].direction]
            line.append(_EMPTY if measure is None else
                        Cell(mean_sd(measure), measure.mean, _podium(ranks[row.label]), mark))
    return columns, lines


def _podium(place: int) -> int:
    return place if place <= 2 else 0


def _difference_part(report: SectionReport) -> Part:
    if report.reference is None or not report.comparisons:
        return [], [[] for _ in report.section.rows]
    name = metric_name(report.section.metric)
    columns = [
        Column(f"Δ {name}", "difference", f"row minus {report.reference.label}, mean over users",
               marked=True),
        Column("95 % interval", "difference", "bootstrap over users, not corrected"),
        Column("p (t)", "difference", "two-sided paired t-test, Holm-corrected"),
        Column("p (Wilcoxon)", "difference", "two-sided signed-rank test, Holm-corrected"),
    ]
    lines = []
    for row in report.section.rows:
        one = report.comparisons.get(row.label)
        if row is report.reference:
            lines.append([Cell("reference", 0.0), _EMPTY, _EMPTY, _EMPTY])
        elif one is None:
            lines.append([_EMPTY] * 4)
        else:
            lines.append([
                Cell(signed(one.difference), one.difference, mark=MARKS[one.direction]),
                Cell(interval(one.low, one.high), one.low),
                Cell(p_value(one.p_t), one.p_t), Cell(p_value(one.p_wilcoxon), one.p_wilcoxon)])
    return columns, lines


def _validation_part(report: SectionReport) -> Part:
    """What epochs and settings are chosen by, where that is not the test part itself."""
    section = report.section
    known = any(section.metric in row.valid for row in section.rows)
    if not known or section.test_selected:
        return [], [[] for _ in section.rows]
    measures = [row.valid.get(section.metric) for row in section.rows]
    return [Column(f"Validation {metric_name(section.metric)}", "more",
                   "of the chosen epochs, mean ± standard deviation over seeds")], [
        [_EMPTY if one is None else Cell(mean_sd(one), one.mean)] for one in measures]


def _cost_part(rows: Sequence[Row]) -> Part:
    def measured(row: Row, name: str) -> Measure | None:
        found = row.cost.get(name)
        return None if name == "peak_gpu_mb" and found is not None and not found.mean else found

    known = [name for name in COSTS if any(measured(row, name) for row in rows)]
    columns = [Column(COST_NAMES[name], "cost", "mean over seeds") for name in known]
    lines = []
    for row in rows:
        found = [measured(row, name) for name in known]
        lines.append([Cell(cost(name, one), None if one is None else one.mean)
                      for name, one in zip(known, found)])
    return columns, lines


def _published_part(report: SectionReport) -> Part:
    columns, lines = [], [[] for _ in report.section.rows]  # type: tuple[list[Column], list[list[Cell]]]
    for number, source in enumerate(report.published.columns):
        for metric in PUBLISHED_METRICS:
            columns.append(Column(f"Published {metric_name(metric)} [{number + 1}]",
                                  "published", source.source))
            for row, line in zip(report.section.rows, lines):
                as_published = row.kind in ("plain", "graph")
                value = source.values.get(row.model, {}).get(metric) if as_published else None
                line.append(_EMPTY if value is None else Cell(f"{value:.4f}", value))
    return columns, lines
