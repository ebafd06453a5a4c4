"""The report in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from diffkg_recbole.console import FittingTable, wide_console
from diffkg_recbole.report.analysis import Report, SectionReport
from diffkg_recbole.report.table import MARKS_MEANING, Cell, Leaderboard, leaderboard
from diffkg_recbole.text import one_line

_PLACE_STYLE = {1: "bold", 2: "underline"}
_MARK_STYLE = {"▲": "green", "▼": "red", "?": "yellow"}


def print_report(report: Report, console: Console | None = None) -> None:
    """Print verdict, tables and failures of every section."""
    console = console or wide_console()
    for section in report.sections:
        _print_section(section, console)
    for folder, reason in report.corrupt:
        console.print(Text(f"unreadable: {one_line(folder)}: {one_line(reason)}", style="red"))


def _print_section(report: SectionReport, console: Console) -> None:
    section = report.section
    marked = " (test-selected)" if section.test_selected else ""
    head = f"{one_line(section.dataset)}, protocol {one_line(section.protocol_name)}{marked}"
    console.print()
    console.print(Text(head, style="bold"))
    console.print(Text(" ".join(report.sentences)))
    if section.rows:
        board = leaderboard(report)
        console.print(_rich_table(board.only("row", "metrics", "difference")))
        if report.reference is not None and report.comparisons:
            for line in (*report.testing, f"{MARKS_MEANING}."):
                console.print(Text(line, style="dim"))
        for title, group in (("cost", "cost"), ("published, not measured here", "published")):
            if group in board.groups:
                console.print(Text(title, style="bold"))
                console.print(_rich_table(_named(board, group)))
    for number, source in enumerate(report.published.columns, start=1):
        doubts = "; ".join(source.doubts) or "none noted"
        console.print(Text(f"[{number}] {source.source}; protocol {source.protocol}; "
                           f"doubts: {doubts}", style="dim"))
    for note in (*report.published.cautions, *report.notes):
        console.print(Text(f"note: {note}", style="dim"))
    for run in section.unfinished:
        console.print(Text(f"{run.status}: {run.label}, seed {run.seed}: {run.error}",
                           style="red"))


def _named(board: Leaderboard, group: str) -> Leaderboard:
    """One group of columns behind the names of the rows."""
    whole = board.only("row", group)
    keep = [place for place, column in enumerate(whole.columns)
            if column.title == "Model" or column.group == group]
    return Leaderboard(tuple(whole.columns[place] for place in keep), whole.rows,
                       tuple(tuple(line[place] for place in keep) for line in whole.cells))


def _rich_table(board: Leaderboard) -> FittingTable:
    """Of the columns that a narrow terminal has no room for, p values go first, then intervals,
    differences, place and seeds, and the later ones of the metrics."""
    titles = [column.title for column in board.columns]
    p_values = [title for title in titles if title.startswith("p (")]
    row = [column.title for column in board.columns
           if column.group == "row" and column.title != "Model"]
    values = [title for title in titles if title not in (*p_values, *row, "Model")]
    differences = [column.title for column in board.columns if column.group == "difference"]
    others = [title for title in values[1:] if title not in differences]
    table = FittingTable(
        titles, names=["Model"], header_style="dim",
        drop=[*p_values[::-1], *[d for d in differences[::-1] if d not in p_values],
              *row[::-1], *others[::-1]])
    for line in board.cells:
        table.add_row(*(_text(cell) for cell in line))
    return table


def _text(cell: Cell) -> Text:
    text = Text(cell.text, style=_PLACE_STYLE.get(cell.place, ""))
    if cell.mark:
        text.append(f" {cell.mark}", style=_MARK_STYLE[cell.mark])
    return text
