"""The report as Markdown (GitHub's dialect)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from diffkg_recbole.report.analysis import PROTOCOLS, Report, SectionReport
from diffkg_recbole.report.rerun import recipe
from diffkg_recbole.report.table import MARKS_MEANING, Cell, Leaderboard, leaderboard
from diffkg_recbole.report.words import (
    DIRECTION_WORDS,
    command_lines,
    flattened,
    interval,
    p_value,
    signed,
    yaml_text,
)
from diffkg_recbole.text import one_line

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$&])")


def escape(value: object) -> str:
    """Any text as Markdown that shows just that text, on one line."""
    return _SPECIAL.sub(r"\\\1", one_line(value))


def render_markdown(report: Report) -> str:
    """The whole report."""
    lines = [f"# {escape(report.title)}", ""]
    for section in report.sections:
        lines += _section(section)
    if report.corrupt:
        lines += ["## Folders that could not be read", ""]
        lines += [f"- {escape(folder)}: {escape(reason)}" for folder, reason in report.corrupt]
    return "\n".join(lines).rstrip() + "\n"


def _section(report: SectionReport) -> list[str]:
    section = report.section
    marked = " (test-selected)" if section.test_selected else ""
    lines = [f"## {escape(section.dataset)}, protocol {escape(section.protocol_name)}{marked}", "",
             escape(" ".join(report.sentences)), ""]
    if section.rows:
        board = leaderboard(report)
        lines += _table(board.only("row", "metrics", "difference"))
        if report.comparisons and report.reference is not None:
            lines += ["Bold: best, underlined: second. Mean ± standard deviation over seeds. "
                      f"{MARKS_MEANING}.", "", *(f"- {escape(line)}" for line in report.testing),
                      ""]
        lines += _answers(report)
        for title, group in (("Further metrics", "more"), ("Cost", "cost")):
            if group in board.groups:
                lines += [f"### {title}", "", *_table(board.only("row", group))]
        lines += _published(report, board)
        lines += _groups(report)
    lines += _data(report)
    lines += _listed("Notes", report.notes)
    lines += _listed("Runs without a result",
                     [f"{run.label}, seed {run.seed} ({run.status}): {run.error}"
                      for run in section.unfinished])
    if section.rows:
        lines += _again(report)
    return lines


def _listed(title: str, items: Sequence[str]) -> list[str]:
    return [f"### {title}", "", *(f"- {escape(item)}" for item in items), ""] if items else []


def _table(board: Leaderboard) -> list[str]:
    return grid([column.title for column in board.columns],
                [[_cell(cell) for cell in line] for line in board.cells],
                [column.numeric for column in board.columns])


def grid(titles: Iterable[str], lines: Iterable[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """A pipe table; ``lines`` hold Markdown already, ``titles`` plain text."""
    rule = "|".join("---:" if one else "---" for one in right)
    return ["| " + " | ".join(escape(title) for title in titles) + " |", f"|{rule}|",
            *("| " + " | ".join(line) + " |" for line in lines), ""]


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.place == 1:
        text = f"**{text}**"
    elif cell.place == 2:
        text = f"<ins>{text}</ins>"
    return f"{text} {cell.mark}".rstrip()


def _answers(report: SectionReport) -> list[str]:
    if not report.answers:
        return []
    lines = [[escape(a.question.claim), signed(a.comparison.difference),
              interval(a.comparison.low, a.comparison.high), escape(p_value(a.comparison.p_t)),
              escape(p_value(a.comparison.p_wilcoxon)), DIRECTION_WORDS[a.comparison.direction]]
             for a in report.answers]
    return ["### Questions", "",
            *grid(["Claim", "Difference", "95 % interval", "p (t)", "p (Wilcoxon)", "Finding"],
                  lines, [False, True, True, True, True, False]),
            "p values are corrected (Holm) over the questions of this table; intervals are not.",
            ""]


def _published(report: SectionReport, board: Leaderboard) -> list[str]:
    published = report.published
    if not published.columns:
        return _listed("Published numbers", published.cautions)
    lines = ["### Published numbers (not measured here)", "",
             *_table(board.only("row", "published"))]
    for number, source in enumerate(published.columns, start=1):
        lines.append(f"- \\[{number}\\] {escape(source.source)}. Protocol: {source.protocol}. "
                     f"Doubts: {escape('; '.join(source.doubts) or 'none noted')}.")
    return [*lines, *(f"- {escape(caution)}" for caution in published.cautions), ""]


def _groups(report: SectionReport) -> list[str]:
    lines = []
    for one in report.groups:
        titles = ["Model", *(f"{name} ({size:,})" for name, size in zip(one.names, one.sizes))]
        cells = [[escape(label), *("–" if mean is None else f"{mean:.4f}" for mean in means)]
                 for label, means in one.means.items()]
        lines += [f"### {one.title}", "",
                  f"{one.metric} by {one.factor}; in brackets the {one.counted} in the group.", "",
                  *grid(titles, cells, [False] + [True] * len(one.names))]
    return lines


def _data(report: SectionReport) -> list[str]:
    section = report.section
    known = PROTOCOLS.get(section.protocol, {})
    facts = [("Protocol", section.protocol_name), *known.items(),
             ("Candidates", section.candidates), ("Split seed", section.split_seed)]
    facts += flattened({"fingerprint": section.fingerprint}) if section.rows else []
    facts += flattened({"audit": report.audit}) if report.audit else []
    return ["### Protocol and data", "",
            *(f"- {escape(name)}: {escape(value)}" for name, value in facts), ""]


def _again(report: SectionReport) -> list[str]:
    made = recipe(report.section)
    lines = ["### To run it again", "", "<details><summary>Commands, settings, versions</summary>",
             "", *fenced(command_lines(made.commands), "sh"),
             "Settings that all rows share:", "", *fenced(yaml_text(made.common), "yaml")]
    for label, settings in made.deviations.items():
        if settings:
            lines += [f"{escape(label)}:", "", *fenced(yaml_text(settings), "yaml")]
    facts = flattened({"versions": made.versions, "hardware": made.hardware, "code": made.code})
    return [*lines, *(f"- {escape(name)}: {escape(value)}" for name, value in facts),
            "", "</details>", ""]


def fenced(text: str, language: str = "") -> list[str]:
    """A code block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence + language, *text.split("\n"), fence, ""]
