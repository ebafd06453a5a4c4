"""Numbers and names as all the outputs write them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml

from diffkg_recbole.errors import visible
from diffkg_recbole.text import one_line

if TYPE_CHECKING:
    from diffkg_recbole.report.results import Measure, Row

METRIC_DIGITS = 4


def yaml_text(value: Any) -> str:
    """Settings as YAML that shows what it says: marks that turn or hide text are escaped."""
    if not value:
        return ""
    text = yaml.safe_dump(value, sort_keys=True, allow_unicode=True)
    if not text.replace("\n", "").isprintable():
        text = yaml.safe_dump(value, sort_keys=True)
    return text.rstrip()


def command_lines(commands: Iterable[Sequence[str]]) -> str:
    """Commands, a line each, for a shell."""
    return "\n".join(visible(shlex.join(words)) for words in commands)


COST_NAMES = {
    "parameters": "Parameters",
    "seconds_per_epoch": "Seconds per epoch",
    "seconds_total": "Total seconds",
    "peak_host_mb": "Peak host MB",
    "peak_gpu_mb": "Peak GPU MB",
}
DIRECTION_WORDS = {
    "better": "significantly better",
    "worse": "significantly worse",
    "same": "no significant difference",
    "unclear": "the two tests disagree",
}
"""What a comparison found, by its ``direction``."""


def mean_sd(measure: Measure | None, digits: int = METRIC_DIGITS) -> str:
    """``0.1234 ± 0.0012``; without the second part for one seed; a dash for nothing."""
    if measure is None:
        return "–"
    mean = f"{measure.mean:.{digits}f}"
    return mean if measure.sd is None else f"{mean} ± {measure.sd:.{digits}f}"


def cost(name: str, measure: Measure | None) -> str:
    """The mean of a cost over the seeds, with as many digits as it deserves."""
    if measure is None:
        return "–"
    value = measure.mean
    if name == "parameters" or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def signed(value: float, digits: int = METRIC_DIGITS) -> str:
    """With its sign, the minus as typographers want it; nothing is negative zero."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text.replace("-", "+")


def interval(low: float, high: float, digits: int = METRIC_DIGITS) -> str:
    """``+0.0010 to +0.0056``."""
    return f"{signed(low, digits)} to {signed(high, digits)}"


def p_value(value: float) -> str:
    """A p value with three decimals, or the bound below which more would mean nothing."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def places(rows: Sequence[Row], metric: str) -> dict[str, int]:
    """Place of every row that has the metric, 1 = best; equal means share a place."""
    means = {row.label: row.metrics[metric].mean for row in rows if metric in row.metrics}
    return {label: 1 + sum(other > mean for other in means.values())
            for label, mean in means.items()}


def flattened(value: Any, above: str = "") -> list[tuple[str, str]]:
    """Nested plain data as (name, text) lines: ``overlap: train, test`` -> 12."""
    if isinstance(value, Mapping):
        return [line for key, item in value.items()
                for line in flattened(item, f"{above}: {key}" if above else str(key))]
    if isinstance(value, (list, tuple)):
        return [(_spoken(above), ", ".join(_plain_text(item) for item in value) or "–")]
    return [(_spoken(above), _plain_text(value))]


def _spoken(name: str) -> str:
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _plain_text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return one_line(value)
