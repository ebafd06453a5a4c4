"""The report as one HTML page that loads nothing.

Charts are interactive Plotly figures. Plotly is a dependency already (RecBole requires it) and
its script lies in the Python package, but at 4.8 MB it alone would fill a page that shall stay
below 5 MB. Compressed and in base64 it is 2.0 MB, and every current browser can unpack gzip
(``DecompressionStream``), so the page carries it packed: nothing is vendored, nothing is cut out
of the library, and the figures always meet the version they were validated with.

A content security policy with the hashes of the page's two scripts forbids every other script
and every request, whatever text the runs contain.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import groupby

import jinja2
from markupsafe import Markup

from diffkg_recbole import __version__
from diffkg_recbole.report.analysis import PROTOCOLS, Report, SectionReport
from diffkg_recbole.report.charts import (
    Chart,
    Style,
    cost_chart,
    curve_chart,
    difference_chart,
    graph_charts,
    group_charts,
    metric_chart,
    styles,
)
from diffkg_recbole.report.charts.base import KINDS
from diffkg_recbole.report.differences import LEVEL
from diffkg_recbole.report.rerun import recipe
from diffkg_recbole.report.table import MARKS, Cell, Leaderboard, leaderboard
from diffkg_recbole.report.words import (
    DIRECTION_WORDS,
    command_lines,
    flattened,
    interval,
    p_value,
    signed,
    yaml_text,
)
from diffkg_recbole.text import metric_name

_GROUPS = "Who and what is served well"
_MARK_CLASSES = {mark: direction for direction, mark in MARKS.items() if mark}


@dataclass(frozen=True)
class _Page:
    """What the template needs of one section beyond the report itself."""

    prefix: str
    name: str
    report: SectionReport
    metric: str
    protocol: list[tuple[str, str]]
    board: Leaderboard
    kinds: list[str]
    charts: list[tuple[str, list[Chart]]]
    styles: list[tuple[str, Style]]
    absent: list[str]
    commands: str
    common: str
    deviations: list[tuple[str, str]]
    surroundings: list[tuple[str, str]]


def render_html(report: Report) -> str:
    """The whole page."""
    script, packed, hashes = _scripts()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined,
                                     keep_trailing_newline=True)
    template = environment.from_string(_page_file("page.html.jinja"))
    return template.render(
        report=report, version=__version__, subtitle=_subtitle(report),
        pages=[_page(one, number) for number, one in enumerate(report.sections, start=1)],
        style=Markup(_page_file("page.css")), script=Markup(script), plotly=Markup(packed),
        script_hashes=Markup(hashes), level=LEVEL, findings=DIRECTION_WORDS,
        kind_titles={kind: title for kind, (title, _, _) in KINDS.items()},
        group_titles={"row": "", "metrics": "Measured", "more": "More metrics",
                      "difference": "Difference to reference", "cost": "Cost",
                      "published": "Published"},
        spans=_spans, number=_number, rows_of=_rows_of, groups_heading=_GROUPS,
        height=_height, signed=signed, interval=interval, p_value=p_value, flattened=flattened)


def _page_file(name: str) -> str:
    return (resources.files(__package__) / "page" / name).read_text("utf-8")


@functools.lru_cache(maxsize=1)
def _scripts() -> tuple[str, str, str]:
    """The page's own script, Plotly's packed, and the policy's hashes of both."""
    from plotly.offline import get_plotlyjs

    script, plotly = _page_file("page.js"), get_plotlyjs()
    digests = [hashlib.sha256(text.encode()).digest() for text in (script, plotly)]
    packed = base64.b64encode(gzip.compress(plotly.encode(), 9, mtime=0)).decode()
    return script, packed, " ".join(f"'sha256-{base64.b64encode(one).decode()}'"
                                    for one in digests)


def _subtitle(report: Report) -> str:
    runs = [run for one in report.sections for run in one.section.runs]
    models = {run.model for run in runs}
    finished = max((str(run.get("finished") or "") for run in runs), default="")[:10]
    last = f", the last finished on {finished}" if finished else ""
    return f"{len(runs)} finished runs of {len(models)} models{last}."


def _page(report: SectionReport, number: int) -> _Page:
    section = report.section
    made = recipe(section) if section.rows else None
    measured = {row.model for row in section.rows}
    style = styles(section.rows, report.reference.label if report.reference else None)
    return _Page(
        prefix=f"part{number}", name=f"{section.dataset}, {section.protocol_name}", report=report,
        metric=metric_name(section.metric), protocol=_protocol(report),
        board=leaderboard(report), charts=_charts(report, style) if section.rows else [],
        styles=[(row.label, style[row.label]) for row in section.rows],
        kinds=[kind for kind in KINDS if any(row.kind == kind for row in section.rows)],
        absent=[", ".join(f"{model} {pair['recall@20']:.4f} / {pair['ndcg@20']:.4f}"
                          for model, pair in source.values.items() if model not in measured)
                for source in report.published.columns],
        commands=command_lines(made.commands) if made else "",
        common=yaml_text(made.common) if made else "",
        deviations=[(label, yaml_text(settings)) for label, settings in made.deviations.items()
                    if settings] if made else [],
        surroundings=flattened({"versions": made.versions, "hardware": made.hardware,
                                "code": made.code}) if made else [])


def _protocol(report: SectionReport) -> list[tuple[str, str]]:
    section = report.section
    lines = [("Protocol", section.protocol_name), *PROTOCOLS.get(section.protocol, {}).items(),
             ("Candidates", section.candidates)]
    counts = section.fingerprint.get("counts") or {}
    if counts:
        lines.append(("Data", ", ".join(f"{value:,} {name}" for name, value in counts.items()
                                        if isinstance(value, int))))
    if section.rows:
        lines.append(("Split seed and fingerprint",
                      f"{section.split_seed}, {str(section.fingerprint.get('all'))[:16]}…"))
    return lines


def _charts(
    report: SectionReport, style: Mapping[str, Style]
) -> list[tuple[str, list[Chart]]]:
    """Headings with their charts; a heading without a chart is left out."""
    section = report.section
    if not section.metric:
        return []
    parts: list[tuple[str, Sequence[Chart | None]]] = [
        ("Quality and cost", [metric_chart(section, report.reference),
                              difference_chart(section, list(report.comparisons.values())),
                              cost_chart(section)]),
        ("Training", [curve_chart(section, report.epochs, style)]),
        (_GROUPS, group_charts(report.groups, style)),
        ("The rebuilt graph, epoch by epoch",
         graph_charts(section, report.epochs, style)),
    ]
    kept = [(heading, [chart for chart in charts if chart is not None])
            for heading, charts in parts]
    return [(heading, charts) for heading, charts in kept if charts]


def _spans(board: Leaderboard) -> list[tuple[str, int]]:
    """Groups of columns with their widths."""
    return [(group, len(list(columns)))
            for group, columns in groupby(column.group for column in board.columns)]


def _height(chart: Chart) -> int:
    return next(iter(chart.figures.values()))["layout"]["height"]


def _rows_of(charts: list[Chart]) -> set[int]:
    """Places of the rows that have lines in these charts."""
    return {trace["meta"]["row"] for chart in charts if chart.lines
            for figure in chart.figures.values() for trace in figure["data"]}


def _number(cell: Cell, marked: bool) -> Markup:
    """A number with its spread and its mark, each in an element of its own."""
    mean, plus_minus, sd = cell.text.partition(" ± ")
    text = Markup('<span class="value">{}</span>').format(mean)
    if plus_minus:
        text += Markup(' <span class="sd">± {}</span>').format(sd)
    if marked:  # also where there is none, so that the numbers stay below each other
        direction = _MARK_CLASSES.get(cell.mark, "same")
        text += Markup('<span class="mark {}" title="{}">{}</span>').format(
            direction, DIRECTION_WORDS[direction], cell.mark)
    return text
