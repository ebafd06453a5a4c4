"""The charts are valid Plotly figures that hold the report's numbers."""

from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects
import pytest

from diffkg_recbole.report import Report
from diffkg_recbole.report.charts import (
    Chart,
    cost_chart,
    curve_chart,
    difference_chart,
    graph_charts,
    group_charts,
    metric_chart,
    styles,
)
from diffkg_recbole.report.charts.base import text, thinned
from diffkg_recbole.report.charts.overview import _label_boxes, _label_positions, _overlap


def _all_charts(report: Report) -> list[Chart]:
    one = report.sections[0]
    style = styles(one.section.rows, one.reference.label)
    found = [metric_chart(one.section, one.reference),
             difference_chart(one.section, list(one.comparisons.values())),
             cost_chart(one.section), curve_chart(one.section, one.epochs, style),
             *group_charts(one.groups, style), *graph_charts(one.section, one.epochs, style)]
    return [chart for chart in found if chart is not None]


def _without_color_names(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_color_names(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_color_names(item) for key, item in value.items()}
    return "#123456" if isinstance(value, str) and value.startswith("@") else value


@pytest.mark.parametrize("which", ["showcase", "hostile", "published"])
def test_every_figure_is_valid(which: str, request: pytest.FixtureRequest) -> None:
    charts = _all_charts(request.getfixturevalue(which))
    assert len(charts) == {"showcase": 12, "hostile": 7, "published": 12}[which]
    assert len({chart.name for chart in charts}) == len(charts)
    for chart in charts:
        for figure in chart.figures.values():
            plotly.graph_objects.Figure(_without_color_names(figure))  # raises if not
            assert json.loads(json.dumps(figure, allow_nan=False)) == figure


def test_metric_chart_holds_means_and_deviations(showcase: Report) -> None:
    section = showcase.sections[0].section
    chart = metric_chart(section, None)
    assert list(chart.figures)[:2] == ["Recall@20", "NDCG@20"]
    found = {}
    for trace in chart.figures["Recall@20"]["data"]:
        for custom, x, bar in zip(trace["customdata"], trace["x"], trace["error_x"]["array"]):
            found[custom[0]] = (x, bar)
    expected = {row.label: (row.metrics["recall@20"].mean, row.metrics["recall@20"].sd)
                for row in section.rows}
    assert found.keys() == expected.keys()
    for label, pair in expected.items():
        assert found[label] == pytest.approx(pair, rel=1e-5)


def test_difference_chart_holds_intervals(showcase: Report) -> None:
    one = showcase.sections[0]
    chart = difference_chart(one.section, list(one.comparisons.values()))
    trace, origin = chart.figures[""]["data"]
    for custom, x, up, down in zip(trace["customdata"], trace["x"], trace["error_x"]["array"],
                                   trace["error_x"]["arrayminus"]):
        found = one.comparisons[custom[0]]
        assert (x - down, x, x + up) == pytest.approx(
            (found.low, found.difference, found.high), abs=1e-6)
    assert origin["x"] == [0.0]
    assert len(trace["x"]) == 13
    assert difference_chart(one.section, []) is None


def test_curves_mark_the_chosen_epoch(showcase: Report) -> None:
    one = showcase.sections[0]
    style = styles(one.section.rows, None)
    data = curve_chart(one.section, one.epochs, style).figures[""]["data"]
    assert len(data) == 28  # 14 rows, two seeds
    for trace in data:
        row = one.section.rows[trace["meta"]["row"]]
        marked = [x for x, size in zip(trace["x"], trace["marker"]["size"]) if size]
        assert marked[0] in [run["epoch"] for run in row.runs]
    first = one.section.rows[0]
    lines = first.runs[0].epochs()
    assert data[0]["y"] == pytest.approx([line["valid"]["recall@20"] for line in lines], rel=1e-5)


def test_graph_diagnostics_only_where_recorded(showcase: Report, hostile: Report) -> None:
    names = [chart.name for chart in _all_charts(showcase)]
    assert names[-5:] == ["graph-edges", "graph-heads", "graph-distinct-tails",
                          "graph-outside-share", "graph-overlap"]
    assert not [c for c in _all_charts(hostile) if c.name.startswith("graph")]
    overlap = _all_charts(showcase)[-1].figures[""]["data"][0]
    assert overlap["x"][0] == 1  # the first epoch has none before it


def test_six_rows_are_shown_at_first_in_colours_of_their_own(showcase: Report) -> None:
    one = showcase.sections[0]
    style = styles(one.section.rows, one.reference.label)
    shown = [label for label, how in style.items() if how.shown]
    assert len(shown) == 6
    assert {"DiffKG", one.reference.label} <= set(shown)
    assert len({style[label].color for label in shown}) == 6
    assert sorted(how.place for how in style.values()) == list(range(14))


def test_labels_are_plain_text_to_plotly(hostile: Report) -> None:
    assert text("<b>x</b> & \n y") == "&lt;b&gt;x&lt;/b&gt; &amp; y"
    assert text("abcdef", 4) == "abc…"
    for chart in _all_charts(hostile):
        assert "<img" not in json.dumps(list(chart.figures.values()))


def test_long_curves_keep_first_last_and_chosen() -> None:
    kept = thinned(10_000, keep=[4321])
    assert len(kept) <= 403
    assert {0, 4321, 9999} <= set(kept)
    assert thinned(3) == [0, 1, 2]


def test_labels_of_near_points_do_not_meet() -> None:
    xs, ys = [1.0, 1.0, 9.0], [1.0, 1.01, 2.0]
    sides = _label_positions(xs, 0.0, ys, [10, 10, 10])
    scaled = [(x / 9 * 900, (y - 1.0) / 1.0 * 280) for x, y in zip(xs, ys)]
    boxes = [_label_boxes(*point, 70.0)[side] for point, side in zip(scaled, sides)]
    assert _overlap(boxes[0], boxes[1]) == 0
    assert boxes[2][2] <= 960  # the label of the point at the right edge stays inside
