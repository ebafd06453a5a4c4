"""Charts over epochs: validation metric, and the diagnostics of rebuilt graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diffkg_recbole.report.charts.base import (
    Chart,
    Figure,
    Style,
    axis,
    numbers,
    text,
    thinned,
)
from diffkg_recbole.report.results import Row, Section
from diffkg_recbole.text import metric_name

Epochs = Mapping[str, Sequence[Sequence[Mapping[str, Any]]]]
"""Row label -> for each of its runs the recorded epochs."""

GRAPH_NAMES = {
    "edges": ("Edges", "Edges of the rebuilt graph."),
    "heads": ("Heads", "Distinct head entities that have an edge."),
    "distinct_tails": ("Distinct tails", "Distinct tails that all heads together point to."),
    "outside_share": ("Share outside the graph",
                      "Share of the top-k pairs that the original graph does not hold."),
    "overlap": ("Overlap with the epoch before", "Share of edges kept from the epoch before."),
}


def curve_chart(
    section: Section, epochs: Epochs, style: Mapping[str, Style]
) -> Chart | None:
    """The metric on which the epoch was chosen, a line for each run."""
    metric = _validated_metric(section, epochs)
    if metric is None:
        return None

    def value(line: Mapping[str, Any]) -> float | None:
        return (line.get("valid") or {}).get(metric)

    data = _traces(section.rows, epochs, style, value)
    part = ("test part, on which the epoch was chosen" if section.test_selected
            else "validation part")
    return Chart("curves", f"{metric_name(metric)} by epoch",
                 f"{metric_name(metric)} on the {part}, a line a seed. Marker: the chosen epoch.",
                 {"": _figure(data, metric_name(metric))}, wide=True, lines=True)


def graph_charts(
    section: Section, epochs: Epochs, style: Mapping[str, Style]
) -> list[Chart]:
    """Each diagnostic of the rebuilt graphs, for the rows that recorded it."""
    charts = []
    for key, (title, caption) in GRAPH_NAMES.items():
        def value(line: Mapping[str, Any], key: str = key) -> float | None:
            return (line.get("graph") or {}).get(key)

        data = _traces(section.rows, epochs, style, value)
        if data:
            figure = _figure(data, title)
            figure["layout"].update(height=280)
            charts.append(Chart(f"graph-{key.replace('_', '-')}", title, caption, {"": figure},
                                lines=True))
    return charts


def _validated_metric(section: Section, epochs: Epochs) -> str | None:
    """The compared metric where it was validated, else the first one that was."""
    seen = {name for runs in epochs.values() for run in runs for line in (*run[:1], *run[-1:])
            for name in (line.get("valid") or {})}
    return next((name for name in (*section.metrics, *sorted(seen)) if name in seen), None)


def _traces(
    rows: Sequence[Row], epochs: Epochs, style: Mapping[str, Style], value: Any
) -> list[dict[str, Any]]:
    """A line per run, one legend entry per row, and a marker at the chosen epoch."""
    traces: list[dict[str, Any]] = []
    for row in rows:
        first = True
        for run, lines in zip(row.runs, epochs.get(row.label, ())):
            points = [(line["epoch"], value(line)) for line in lines]
            points = [point for point in points if isinstance(point[1], (int, float))]
            if not points:
                continue
            chosen = [place for place, point in enumerate(points) if point[0] == run.get("epoch")]
            points_kept = [points[place] for place in thinned(len(points), chosen)]
            traces.append(_trace(row, run.seed, points_kept, run.get("epoch"), style[row.label],
                                 first))
            first = False
    return traces


def _trace(
    row: Row, seed: Any, points: Sequence[tuple[int, float]], chosen: int | None, style: Style,
    first: bool,
) -> dict[str, Any]:
    single = len(points) == 1
    return {
        "type": "scatter", "mode": "lines+markers", "name": text(row.label, 40),
        "meta": {"row": style.place},
        "x": [epoch for epoch, _ in points], "y": numbers(value for _, value in points),
        "line": {"color": style.color, "dash": style.dash, "width": 1.8},
        "marker": {"color": style.color, "symbol": style.symbol,
                   "size": [8 if single or epoch == chosen else 0 for epoch, _ in points]},
        "opacity": 1.0 if first else 0.55,
        "hovertemplate": f"seed {text(seed, 12)}, epoch %{{x}}: %{{y:.4~g}}",
    }


def _figure(data: list[dict[str, Any]], title: str) -> Figure:
    last = max((trace["x"][-1] for trace in data), default=0)
    whole = {"dtick": 1} if last < 10 else {}  # there is no half epoch
    return {"data": data, "layout": {
        "height": 400, "xaxis": axis("Epoch", rangemode="nonnegative", **whole),
        "yaxis": axis(title), "hovermode": "closest"}}
