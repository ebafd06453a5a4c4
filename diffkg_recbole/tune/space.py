"""Search spaces: which keys of a model are searched, and over what, read and checked at once.

A file holds a line per key (``configs/tuning/<Model>.yaml``)::

    learning_rate: {log: [1.0e-4, 1.0e-2]}    # real, uniform in its logarithm
    dropout_prob: {uniform: [0.0, 0.5]}       # real
    n_layers: {int: [1, 4]}                   # whole, both ends included
    k: {log_int: [10, 1000]}                  # whole, uniform in its logarithm
    layers: {choice: [[64], [64, 32]]}        # any of these values

``{}`` says that a model has nothing to search.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from diffkg_recbole.config.model_keys import ModelKeys
from diffkg_recbole.config.plain_yaml import read_node
from diffkg_recbole.config.yaml_lines import Located, Problems
from diffkg_recbole.errors import DataError
from diffkg_recbole.plain import canonical_json
from diffkg_recbole.store import makes_result
from diffkg_recbole.text import near_names

KINDS = ("choice", "uniform", "log", "int", "log_int")
BUDGET_KEYS = frozenset({"epochs", "stopping_step", "eval_step"})
QUESTION_KEYS = frozenset({
    "model", "dataset", "seed", "split_seed", "eval_protocol", "kg", "metrics", "topk",
    "valid_metric", "eval_args", "repeatable", "load_col", "benchmark_filename",
    "metric_decimal_place", "eval_memory_mb", "eval_batch_size", "worker", "nproc", "world_size",
})
"""Keys that decide what is measured, on what and how; the best value of one means nothing."""
_DIGITS = 4  # of a drawn real number: what a file and a command line show is what was trained


@dataclass(frozen=True)
class Parameter:
    """One searched key.

    Args:
        key: configuration key.
        kind: one of :data:`KINDS`.
        values: the choices, or the two ends of the range.
    """

    key: str
    kind: str
    values: tuple[Any, ...]

    def __str__(self) -> str:
        listed = ", ".join(_text(value) for value in self.values)
        return f"{self.kind} [{listed}]"

    @property
    def _choices(self) -> dict[Any, Any]:
        """What the search handles -> the value it stands for."""
        return {canonical_json(v) if isinstance(v, (list, dict)) else v: v for v in self.values}

    @property
    def distribution(self) -> BaseDistribution:
        """The range as Optuna's."""
        if self.kind == "choice":
            return CategoricalDistribution(list(self._choices))
        low, high = self.values
        if self.kind in ("int", "log_int"):
            return IntDistribution(low, high, log=self.kind == "log_int")
        return FloatDistribution(low, high, log=self.kind == "log")

    def setting(self, drawn: Any) -> Any:
        """The configuration value of a drawn one: real numbers have four digits."""
        if self.kind == "choice":
            return self._choices[drawn]
        if self.kind in ("int", "log_int"):
            return int(drawn)
        low, high = self.values
        return float(min(max(float(f"{drawn:.{_DIGITS}g}"), low), high))

    def contains(self, setting: Any) -> bool:
        """Whether a configuration value lies in the range."""
        if self.kind == "choice":
            return any(_same(setting, value) for value in self.values)
        allowed = int if self.kind in ("int", "log_int") else (int, float)
        low, high = self.values
        return (isinstance(setting, allowed) and not isinstance(setting, bool)
                and low <= setting <= high)

    def drawn(self, setting: Any) -> Any:
        """What :meth:`setting` turns into ``setting``, which lies in the range."""
        if self.kind != "choice":
            return setting
        return next(drawn for drawn, value in self._choices.items() if _same(setting, value))

    def grid(self) -> list[Any] | None:
        """All values that may be drawn; None if they are not countable."""
        if self.kind == "choice":
            return list(self._choices)
        if self.kind in ("int", "log_int"):
            return list(range(self.values[0], self.values[1] + 1))
        return None

    def at_an_end(self, setting: Any) -> bool:
        """Whether a value lies within 2 % of an end of its range; 0 is a natural end."""
        if self.kind == "choice":
            return False
        ends = [float(end) for end in self.values]
        place = float(setting)
        if self.kind.startswith("log"):
            ends, place = [math.log(end) for end in ends], math.log(place)
        near = min(ends, key=lambda end: abs(end - place))
        natural = not self.kind.startswith("log") and near == 0
        return not natural and abs(near - place) <= 0.02 * (ends[1] - ends[0])


@dataclass(frozen=True)
class Space:
    """The searched keys of a model, in the order of the file."""

    parameters: tuple[Parameter, ...] = ()

    def __contains__(self, key: str) -> bool:
        return any(parameter.key == key for parameter in self.parameters)

    def without(self, keys: Collection[str]) -> Space:
        """The space without keys whose values are given."""
        return Space(tuple(p for p in self.parameters if p.key not in keys))

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's ranges by key."""
        return {parameter.key: parameter.distribution for parameter in self.parameters}

    def settings(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Configuration values of drawn ones."""
        return {p.key: p.setting(drawn[p.key]) for p in self.parameters}

    def drawn(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The drawn values of those settings that lie in the space."""
        return {p.key: p.drawn(settings[p.key]) for p in self.parameters
                if p.key in settings and p.contains(settings[p.key])}

    def points(self, most: int) -> list[dict[str, Any]] | None:
        """Every point of the space, if there are at most ``most``; else None."""
        grids = [parameter.grid() for parameter in self.parameters]
        if any(grid is None for grid in grids):
            return None
        known = [grid for grid in grids if grid is not None]
        if math.prod(len(grid) for grid in known) > most:
            return None
        keys = [parameter.key for parameter in self.parameters]
        return [dict(zip(keys, point)) for point in itertools.product(*known)]

    def plain(self) -> dict[str, Any]:
        """The space as it stands in a file."""
        return {p.key: {p.kind: list(p.values)} for p in self.parameters}


def read_space(path: Path, model: str) -> Space:
    """Read and check the search space of a model.

    Raises:
        DataError: the file is missing or no YAML mapping.
        FileProblemsError: all other problems at once, each with its line.
        UserError: there is no such model.
    """
    keys = ModelKeys.of(model)
    node = read_node(path)
    root = None if node is None else Located(node)
    problems = Problems(path)
    if root is not None and root.value is not None and not root.is_mapping:
        raise DataError(path, f"holds a {type(root.value).__name__}", "lines of 'key: range'",
                        line=1)
    entries = root.entries(problems) if root is not None and root.is_mapping else {}
    found = [_parameter(key, node, keys, problems) for key, node in entries.items()]
    problems.raise_if_any()
    return Space(tuple(parameter for parameter in found if parameter is not None))


def _parameter(key: str, node: Located, keys: ModelKeys, problems: Problems) -> Parameter | None:
    refused = _key_problem(key, keys)
    if refused is not None:
        problems.add(node.line, refused)
    entries = node.entries(problems) if node.is_mapping else {}
    if len(entries) != 1:
        problems.add(node.line, f"{key}: {node.value!r} is no range; expected one of "
                                f"{', '.join(KINDS)}, as in {{log: [1.0e-4, 1.0e-2]}}")
        return None
    (kind, values), = entries.items()
    if kind not in KINDS:
        problems.add(values.line, f"{key}: there is no kind of range '{kind}'"
                                  f"{near_names(kind, KINDS)}; expected one of {', '.join(KINDS)}")
        return None
    if not values.is_sequence:
        problems.add(values.line, f"{key}: {values.value!r} is no list")
        return None
    listed = tuple(values.value)
    problem = _choice_problem(listed) if kind == "choice" else _range_problem(kind, listed)
    if problem is not None:
        problems.add(values.line, f"{key}: {problem}")
        return None
    if refused is None:
        for wrong in filter(None, (keys.problem(key, value) for value in listed)):
            problems.add(values.line, wrong)
    return Parameter(key, kind, listed)


def _key_problem(key: str, keys: ModelKeys) -> str | None:
    if key in BUDGET_KEYS:
        return f"'{key}' belongs to the budget, which is equal for every model"
    if key in QUESTION_KEYS or not makes_result(key):
        return f"'{key}' is no hyper-parameter; give it on the command line (--{key}=...)"
    return None if keys.has(key) else keys.problem(key, None)


def _choice_problem(values: tuple[Any, ...]) -> str | None:
    if not values:
        return "names no value"
    twice = [value for place, value in enumerate(values) if value in values[:place]]
    return f"{twice[0]!r} stands twice" if twice else None


def _range_problem(kind: str, values: tuple[Any, ...]) -> str | None:
    whole = kind in ("int", "log_int")
    allowed = (int,) if whole else (int, float)
    if len(values) != 2 or any(
        not isinstance(v, allowed) or isinstance(v, bool) or not math.isfinite(v) for v in values
    ):
        noun = "whole numbers" if whole else "numbers"
        return f"{list(values)} is no range; expected two {noun}, the lower one first"
    low, high = values
    if low >= high:
        return f"the lower end {low} is not below the upper end {high}"
    if kind.startswith("log") and low <= 0:
        return f"{kind} needs ends above 0, got {low}"
    return None


def _same(one: Any, other: Any) -> bool:
    return canonical_json(one) == canonical_json(other)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
