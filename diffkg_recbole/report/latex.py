"""The tables in LaTeX, for ``booktabs``: best bold, second underlined, significance marks."""

from __future__ import annotations

from diffkg_recbole.report.analysis import Report, SectionReport
from diffkg_recbole.report.differences import LEVEL
from diffkg_recbole.report.table import Cell, Leaderboard, leaderboard
from diffkg_recbole.text import one_line

_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "_": r"\_", "%": r"\%", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
    "–": "--", "—": "---", "±": r"$\pm$", "−": "$-$", "Δ": r"$\Delta$", "…": r"\ldots{}",
    "[": "{[}", "]": "{]}",  # after a line break a bare [ would be its length
}
_MARKS = {"▲": r"$^{\uparrow}$", "▼": r"$^{\downarrow}$", "?": "$^{?}$", "": ""}


def escape(value: object) -> str:
    """Any text as LaTeX that prints just that text; letters outside Latin-1 become '?'."""
    letters = (_ESCAPES.get(letter) or (letter if ord(letter) < 256 else "?")
               for letter in one_line(value))
    return "".join(letters)


def render_latex(report: Report) -> str:
    """A table environment for each section with a result."""
    head = ["% needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}; include with \\input",
            "% LaTeX before 2018 also needs \\usepackage[utf8]{inputenc}", ""]
    tables = [_table(section) for section in report.sections if section.section.rows]
    return "\n".join([*head, *tables])


def _table(report: SectionReport) -> str:
    section = report.section
    board = leaderboard(report).only("row", "metrics", "published")
    keep = [place for place, column in enumerate(board.columns)
            if column.title not in ("#", "Seeds")]
    rules = "".join("r" if board.columns[place].numeric else "l" for place in keep)
    titles = " & ".join(escape(board.columns[place].title) for place in keep)
    lines = [" & ".join(_cell(line[place]) for place in keep) + r" \\" for line in board.cells]
    return "\n".join([
        r"\begin{table}", r"  \centering", f"  \\caption{{{_caption(report, board)}}}",
        f"  \\begin{{tabular}}{{{rules}}}", r"    \toprule", f"    {titles} \\\\", r"    \midrule",
        *(f"    {line}" for line in lines), r"    \bottomrule", r"  \end{tabular}",
        f"  % fingerprint of the data: {escape(section.fingerprint.get('all'))}", r"\end{table}",
        ""])


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.place == 1:
        text = rf"\textbf{{{text}}}"
    elif cell.place == 2:
        text = rf"\underline{{{text}}}"
    return text + _MARKS[cell.mark]


def _caption(report: SectionReport, board: Leaderboard) -> str:
    section = report.section
    parts = [f"Results on {escape(section.dataset)}, protocol {escape(section.protocol_name)}"
             + (" (epoch selected on the test part)" if section.test_selected else "") + ".",
             r"Mean $\pm$ standard deviation over seeds; best bold, second underlined."]
    if not section.full_ranking:
        parts.append(f"Ranked among {escape(section.candidates)}.")
    if report.choice is not None and report.comparisons:
        parts.append(
            r"$^{\uparrow}$/$^{\downarrow}$: significantly better/worse than "
            f"{escape(report.choice.row.label)} (paired $t$ and Wilcoxon over users, "
            rf"Holm-corrected over {len(report.comparisons)} comparisons for each kind of test, "
            rf"$p<{LEVEL}$); $^{{?}}$: the tests disagree. {escape(report.choice.sentence)}")
    for number, source in enumerate(report.published.columns, start=1):
        parts.append(f"{{[}}{number}{{]}} published, not measured here: {escape(source.source)} "
                     f"(protocol {escape(source.protocol)}).")
    return " ".join(parts)
