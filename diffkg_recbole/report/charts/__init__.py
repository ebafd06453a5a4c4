"""The charts of a section, as plain Plotly figures."""

from diffkg_recbole.report.charts.base import Chart, Figure, Style, styles
from diffkg_recbole.report.charts.curves import Epochs, curve_chart, graph_charts
from diffkg_recbole.report.charts.group_bars import group_charts
from diffkg_recbole.report.charts.overview import cost_chart, difference_chart, metric_chart

__all__ = [
    "Chart",
    "Epochs",
    "Figure",
    "Style",
    "cost_chart",
    "curve_chart",
    "difference_chart",
    "graph_charts",
    "group_charts",
    "metric_chart",
    "styles",
]
