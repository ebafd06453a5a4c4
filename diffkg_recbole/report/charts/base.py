"""What all charts share: plain Plotly figures, colours as names, hostile text made harmless."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from diffkg_recbole.report.results import Row

Figure = dict[str, Any]
"""``{"data": [...], "layout": {...}}`` as Plotly reads it.

Colours are names with a leading ``@``; the page replaces them by its CSS variables, so that
one figure serves the light and the dark page.
"""

KINDS = {
    "plain": ("No knowledge graph", "circle", "@plain"),
    "graph": ("Knowledge model, its graph", "circle", "@graph"),
    "control": ("Control: no or random graph", "circle-open", "@graph"),
    "variant": ("Variant", "diamond-open", "@variant"),
}
"""Kind of a row -> legend, marker symbol, colour."""

_PALETTE = tuple(f"@series{number}" for number in range(1, 9))
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "cross", "hexagon")
_DASHES = {"plain": "solid", "graph": "solid", "control": "dot", "variant": "dash"}
LABEL_LENGTH = 26
MAX_POINTS = 400
"""Points kept of a training curve; a screen shows no more."""


@dataclass(frozen=True)
class Chart:
    """A chart of the page.

    Args:
        name: unique in its section, made of letters and hyphens.
        title: plain text.
        caption: plain text: what is shown, and what is not.
        figures: choice -> figure; more than one makes a menu.
        menu: what the menu chooses.
        wide: whether it takes the full width of the page.
        lines: whether its traces belong to rows, which the page's legend switches on and off; a
            trace says in ``meta["row"]`` which place its row has in the section.
    """

    name: str
    title: str
    caption: str
    figures: dict[str, Figure]
    menu: str = ""
    wide: bool = False
    lines: bool = False


def text(value: object, length: int | None = None) -> str:
    """Text for Plotly, which reads some HTML tags: everything escaped, on one line."""
    words = " ".join(str(value).split())
    if length is not None and len(words) > length:
        words = words[: length - 1].rstrip() + "…"
    return html.escape(words, quote=False)


def number(value: float | None) -> float | None:
    """Six significant digits: enough for a picture, half the bytes."""
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None


def numbers(values: Iterable[float | None]) -> list[float | None]:
    """:func:`number` of each."""
    return [number(value) for value in values]


@dataclass(frozen=True)
class Style:
    """How the lines of one row look.

    Args:
        place: place of the row in the section.
        shown: whether its lines are drawn at first; the page's legend switches rows on and off.
    """

    place: int
    color: str
    dash: str
    symbol: str
    shown: bool


def styles(rows: Sequence[Row], reference: str | None, at_most: int = 6) -> dict[str, Style]:
    """Style of every row by label; rows shown at first get colours of their own.

    Shown at first are the best with and without a graph, the reference, then the best
    model's own controls and variants, then the remaining rows in order.

    Args:
        rows: of the section, best first.
        reference: label of the reference.
        at_most: rows shown at first.
    """
    graph = next((row for row in rows if row.kind == "graph"), None)
    plain = next((row for row in rows if row.kind == "plain"), None)
    family = [row for row in rows if graph is not None and row.model == graph.model]
    order = [graph, plain, *(row for row in rows if row.label == reference), *family, *rows]
    unique = list({row.label: row for row in order if row is not None}.values())
    return {
        row.label: Style(rows.index(row), _PALETTE[number % len(_PALETTE)], _DASHES[row.kind],
                         _SYMBOLS[number // len(_PALETTE) % len(_SYMBOLS)], number < at_most)
        for number, row in enumerate(unique)}


def thinned(count: int, keep: Sequence[int] = ()) -> list[int]:
    """At most about :data:`MAX_POINTS` indices of ``range(count)``, with first, last, ``keep``."""
    step = max(1, math.ceil(count / MAX_POINTS))
    return sorted({*range(0, count, step), count - 1, *keep} & set(range(count)))


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with a title."""
    return {"title": {"text": text(title)}, "automargin": True, "fixedrange": False, **more}
