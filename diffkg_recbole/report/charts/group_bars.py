"""Charts of groups: who, and what, each row serves well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from diffkg_recbole.report.charts.base import Chart, Style, axis, numbers, text
from diffkg_recbole.report.group_metrics import Groups


def group_charts(groups: Sequence[Groups], style: Mapping[str, Style]) -> list[Chart]:
    """A chart for each cut: the rows' metric over the groups."""
    return [_group_chart(one, style) for one in groups]


def _group_chart(groups: Groups, style: Mapping[str, Style]) -> Chart:
    data = []
    places = list(range(len(groups.names)))
    for label, means in groups.means.items():
        data.append({
            "type": "scatter", "mode": "lines+markers", "name": text(label, 40),
            "meta": {"row": style[label].place},
            "x": places, "y": numbers(means),
            "error_y": {"type": "data", "thickness": 1.2, "width": 0,
                        "color": style[label].color,
                        "array": numbers(sd or 0.0 for sd in groups.sds[label])},
            "line": {"color": style[label].color, "dash": style[label].dash, "width": 1.6},
            "marker": {"color": style[label].color, "symbol": style[label].symbol, "size": 8},
            "customdata": [[name, f"{size:,} {groups.counted}"]
                           for name, size in zip(groups.names, groups.sizes)],
            "hovertemplate": "%{customdata[0]} (%{customdata[1]}): %{y:.4f}",
        })
    layout = {
        "height": 330, "hovermode": "closest",
        "xaxis": axis(groups.factor[:1].upper() + groups.factor[1:], tickvals=places,
                      ticktext=[f"{name}<br>{size:,}"
                                for name, size in zip(groups.names, groups.sizes)],
                      range=[-0.3, len(places) - 0.7]),
        "yaxis": axis(groups.metric, rangemode="tozero"),
    }
    name = groups.title.lower().replace(" ", "-")
    measure = (f"Mean {groups.metric} of the users in each group" if groups.counted == "test users"
               else f"Share of test pairs found: {groups.metric} over the pairs of each group")
    caption = f"{measure}. Second line below the axis: {groups.counted} in the group."
    return Chart(name, groups.title, caption, {"": {"data": data, "layout": layout}},
                 lines=True)
