"""Charts of the whole table: the metric, the differences, quality against cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from diffkg_recbole.report.charts.base import (
    KINDS,
    LABEL_LENGTH,
    Chart,
    Figure,
    axis,
    number,
    numbers,
    text,
)
from diffkg_recbole.report.differences import Difference
from diffkg_recbole.report.results import COSTS, Row, Section
from diffkg_recbole.report.words import COST_NAMES, DIRECTION_WORDS, interval, signed
from diffkg_recbole.text import metric_name

_ROW_HEIGHT = 27
_DIRECTION_COLORS = {"better": "@better", "worse": "@worse", "unclear": "@quiet", "same": "@quiet"}


def metric_chart(section: Section, reference: Row | None) -> Chart:
    """Every row's metric, the mean with its standard deviation and each seed."""
    figures = {metric_name(metric): _metric_figure(section, metric, reference)
               for metric in section.metrics}
    single = any(len(row.runs) == 1 for row in section.rows)
    caption = "Dot: mean over seeds. Bar: ± one standard deviation."
    if single:
        caption += " A row without a bar has one seed only, so its spread is unknown."
    if reference is not None:
        caption += f" Dotted line: {reference.label}."
    return Chart("metric", "Every model", caption, figures, menu="Metric")


def _metric_figure(section: Section, metric: str, reference: Row | None) -> Figure:
    rows = [row for row in section.rows if metric in row.metrics]
    rows.sort(key=lambda row: row.metrics[metric].mean)
    places = {row.label: place for place, row in enumerate(rows)}
    data = []
    for kind, (name, symbol, color) in KINDS.items():
        chosen = [row for row in rows if row.kind == kind]
        if chosen:
            data.append({
                "type": "scatter", "mode": "markers", "name": name,
                "x": numbers(row.metrics[metric].mean for row in chosen),
                "y": [places[row.label] for row in chosen],
                "error_x": {"type": "data", "color": color, "thickness": 1.6, "width": 0,
                            "array": numbers(row.metrics[metric].sd or 0.0 for row in chosen)},
                "marker": {"symbol": symbol, "size": 9, "color": color,
                           "line": {"width": 2, "color": color}},
                "customdata": [[text(row.label), text(_spread(row, metric))] for row in chosen],
                "hovertemplate": "%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
            })
    shapes = []
    if reference is not None and metric in reference.metrics:
        shapes.append(_vertical(reference.metrics[metric].mean))
    layout = {
        "height": _rows_height(rows), "xaxis": axis(metric_name(metric)),
        "yaxis": _row_axis(rows), "shapes": shapes, "hovermode": "closest",
    }
    return {"data": data, "layout": layout}


def _rows_height(rows: Sequence[Row]) -> int:
    return 70 + _ROW_HEIGHT * len(rows)


def _spread(row: Row, metric: str) -> str:
    measure = row.metrics[metric]
    if measure.sd is None:
        return f"{measure.mean:.4f}, one seed"
    return f"{measure.mean:.4f} ± {measure.sd:.4f}, {len(row.runs)} seeds"


def _row_axis(rows: Sequence[Row]) -> dict[str, Any]:
    """Positions, not names, so that two equal shortened names stay two rows."""
    return {
        "tickvals": list(range(len(rows))), "automargin": True, "fixedrange": True,
        "ticktext": [text(row.label, LABEL_LENGTH) for row in rows],
        "range": [-0.7, len(rows) - 0.3], "zeroline": False, "showgrid": False,
    }


def _vertical(value: float) -> dict[str, Any]:
    return {"type": "line", "x0": number(value), "x1": number(value), "y0": 0, "y1": 1,
            "yref": "paper", "line": {"dash": "dot", "width": 1.2, "color": "@ink"},
            "layer": "below"}


def difference_chart(section: Section, comparisons: Sequence[Difference]) -> Chart | None:
    """The difference of every row to the reference, with its interval; rows as in the other."""
    if not comparisons:
        return None
    reference = comparisons[0].reference
    found = {one.row.label: one for one in comparisons}
    rows = [row for row in section.rows if row.label in found or row is reference]
    rows.sort(key=lambda row: row.metrics[section.metric].mean)
    places = {row.label: place for place, row in enumerate(rows)}
    ordered = [found[row.label] for row in rows if row is not reference]
    trace = {
        "type": "scatter", "mode": "markers",
        "x": numbers(one.difference for one in ordered),
        "y": [places[one.row.label] for one in ordered],
        "error_x": {"type": "data", "symmetric": False, "thickness": 1.6, "width": 4,
                    "color": "@quiet",
                    "array": numbers(one.high - one.difference for one in ordered),
                    "arrayminus": numbers(one.difference - one.low for one in ordered)},
        "marker": {"size": 10, "color": [_DIRECTION_COLORS[one.direction] for one in ordered]},
        "customdata": [[text(one.row.label), signed(one.difference), interval(one.low, one.high),
                        DIRECTION_WORDS[one.direction]] for one in ordered],
        "hovertemplate": "%{customdata[0]}<br>%{customdata[1]} (%{customdata[2]})"
                         "<br>%{customdata[3]}<extra></extra>",
    }
    origin = {
        "type": "scatter", "mode": "markers", "x": [0.0], "y": [places[reference.label]],
        "marker": {"size": 10, "symbol": "line-ns-open", "color": "@ink"},
        "hovertemplate": "%{text}: the reference<extra></extra>", "text": [text(reference.label)],
    }
    layout = {
        "height": _rows_height(rows), "yaxis": _row_axis(rows), "shapes": [_vertical(0.0)],
        "xaxis": axis(f"Difference in {metric_name(section.metric)}"), "hovermode": "closest",
    }
    return Chart(
        "difference", f"Difference to {reference.label}",
        "Mean difference over the test users with its 95 % bootstrap interval. Blue: "
        "significantly better, red: significantly worse, grey: no difference can be claimed.",
        {"": {"data": [trace, origin], "layout": layout}})


def cost_chart(section: Section) -> Chart | None:
    """Quality against each kind of cost that was measured."""
    figures = {}
    for cost in ("seconds_total", *(name for name in COSTS if name != "seconds_total")):
        rows = [row for row in section.rows
                if cost in row.cost and section.metric in row.metrics]
        if len(rows) > 1:
            figures[COST_NAMES[cost]] = _cost_figure(section, rows, cost)
    if not figures:
        return None
    return Chart(
        "cost", "Quality against cost",
        "Up and to the left is better. Bars: ± one standard deviation over seeds. In a narrow "
        "window the numbers are places in the table.", figures, menu="Cost", wide=True)


def _cost_figure(section: Section, rows: Sequence[Row], cost: str) -> Figure:
    quality = [row.metrics[section.metric].mean for row in rows]
    price = [row.cost[cost].mean for row in rows]
    logarithmic = min(price) > 0 and max(price) / min(price) > 20
    across = [math.log(value) for value in price] if logarithmic else price
    start = min(across) if logarithmic else 0.0
    labels = [text(row.label, LABEL_LENGTH) for row in rows]
    positions = _label_positions(across, start, quality, [len(label) for label in labels])
    rank = {row.label: place for place, row in enumerate(section.rows, start=1)}
    data = []
    for kind, (name, symbol, color) in KINDS.items():
        chosen = [index for index, row in enumerate(rows) if row.kind == kind]
        if not chosen:
            continue
        data.append({
            "type": "scatter", "mode": "markers+text", "name": name,
            "x": numbers(price[index] for index in chosen),
            "y": numbers(quality[index] for index in chosen),
            "text": [labels[index] for index in chosen],
            "meta": {"narrow": [str(rank[rows[index].label]) for index in chosen]},
            "cliponaxis": False,
            "textposition": [positions[index] for index in chosen],
            "error_y": {"type": "data", "color": color, "thickness": 1.2, "width": 0,
                        "array": numbers(rows[index].metrics[section.metric].sd or 0.0
                                         for index in chosen)},
            "marker": {"symbol": symbol, "size": 10, "color": color,
                       "line": {"width": 2, "color": color}},
            "customdata": [[text(rows[index].label), f"{quality[index]:.4f}",
                            f"{price[index]:,.4g}"] for index in chosen],
            "hovertemplate": "%{customdata[0]}<br>%{customdata[1]} at %{customdata[2]}"
                             "<extra></extra>",
        })
    layout = {
        "height": 430, "hovermode": "closest", "yaxis": axis(metric_name(section.metric)),
        "xaxis": axis(COST_NAMES[cost], type="log" if logarithmic else "linear",
                      **({"dtick": 1} if logarithmic else {"rangemode": "tozero"})),
    }
    return {"data": data, "layout": layout}


def _label_positions(
    across: Sequence[float], start: float, up: Sequence[float], lengths: Sequence[int]
) -> list[str]:
    """A side for each label such that it meets few other labels and points.

    ``start`` is where the axis across begins.

    Greedy, on a picture of about 900 × 280 pixels with letters of 7 × 14.
    """
    def scaled(values: Sequence[float], low: float, size: float) -> list[float]:
        width = (max(values) - low) or 1.0
        return [(value - low) / width * size for value in values]

    xs, ys = scaled(across, start, 900), scaled(up, min(up), 280)
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in zip(xs, ys)]
    chosen = []
    for x, y, length in zip(xs, ys, lengths):
        boxes = _label_boxes(x, y, 7.0 * length)
        best = min(boxes, key=lambda side: sum(_overlap(boxes[side], box) for box in taken)
                   + (1000.0 if boxes[side][2] > 960 or boxes[side][0] < -60 else 0.0))
        taken.append(boxes[best])
        chosen.append(best)
    return chosen


def _label_boxes(x: float, y: float, wide: float) -> dict[str, Box]:
    """Where each of Plotly's text positions puts a label of this width, the best first."""
    columns = {"center": (x - wide / 2, x + wide / 2), "right": (x + 8, x + 8 + wide),
               "left": (x - 8 - wide, x - 8)}
    rows = {"top": (y + 6, y + 21), "bottom": (y - 21, y - 6), "middle": (y - 7, y + 7)}
    sides = ("top center", "bottom center", "middle right", "middle left", "top right",
             "bottom right", "top left", "bottom left")
    boxes = {}
    for side in sides:
        (low, high), (left, right) = (rows[side.split()[0]], columns[side.split()[1]])
        boxes[side] = (left, low, right, high)
    return boxes


Box = tuple[float, float, float, float]


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)
