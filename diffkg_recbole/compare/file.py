"""Comparison files: what is compared, read and checked before anything runs.

A file looks like this; only ``datasets`` and ``models`` are required::

    title: Does the graph help?
    datasets: [ml-100k, movie]
    protocol: clean                  # clean (default) | authors | recbole
    seeds: [1, 2, 3]                 # default [2020]
    split_seeds: [2020]              # a second factor; default [2020]
    metrics: [recall@20, ndcg@20]    # the first one is the main one
    model_settings: ../models/{model}/{dataset}.yaml   # used where the file exists
    settings: {epochs: 100}          # for every model that has the key; over model_settings
    models:
      - BPR
      - model: KGAT
        kg: [original, none, random] # a row for each graph
      - model: DiffKG
        label: DiffKG, 3 layers      # default: the model and what deviates from its plain form
        settings: {n_layers: 3}      # over everything else
        variants:                    # a row for each, besides the model itself
          - {contrastive_weight: 0}
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from diffkg_recbole.config.general import KG_CONTROLS, PROTOCOLS
from diffkg_recbole.config.model_keys import ModelKeys
from diffkg_recbole.config.plain_yaml import read_node
from diffkg_recbole.config.yaml_lines import Located, Problems
from diffkg_recbole.errors import DataError, UserError
from diffkg_recbole.evaluation.metrics import RANKING_METRICS
from diffkg_recbole.text import near_names

DEFAULT_METRICS = ("recall@20", "ndcg@20")
DEFAULT_SEEDS = (2020,)
_MOST_SEEDS_MEANT = 20  # a larger number cannot be meant as their count
_KEYS = ("title", "datasets", "protocol", "seeds", "split_seeds", "metrics", "model_settings",
         "settings", "models")
_MODEL_KEYS = ("model", "label", "settings", "kg", "variants")
# Configuration keys that the file says elsewhere, and where.
_SAID_ELSEWHERE = {
    "model": "model", "dataset": "datasets", "seed": "seeds", "split_seed": "split_seeds",
    "eval_protocol": "protocol", "kg": "kg", "metrics": "metrics", "topk": "metrics",
    "label": "label",
}


@dataclass(frozen=True, eq=False)
class FileRow:
    """A row of the comparison: one model with its settings, run with every seed.

    Args:
        model: name of the model.
        settings: configuration of this row alone.
        label: name in tables, None for the default one.
        line: where it stands in the file.
    """

    model: str
    settings: dict[str, Any]
    label: str | None
    line: int


@dataclass
class Comparison:
    """A checked comparison file; the fields are the file's keys."""

    path: Path
    title: str = ""
    datasets: dict[str, int] = field(default_factory=dict)  # name -> line
    protocol: str = PROTOCOLS[0]
    seeds: tuple[int, ...] = DEFAULT_SEEDS
    split_seeds: tuple[int, ...] = DEFAULT_SEEDS
    metrics: tuple[str, ...] = DEFAULT_METRICS
    model_settings: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    settings_lines: dict[str, int] = field(default_factory=dict)
    rows: list[FileRow] = field(default_factory=list)

    def settings_file(self, model: str, dataset: str) -> Path | None:
        """The file of ``model_settings`` for a model on a dataset, if it exists."""
        if self.model_settings is None:
            return None
        name = self.model_settings.replace("{model}", model).replace("{dataset}", dataset)
        path = self.path.parent / name
        return path if path.is_file() else None


def read_comparison(path: str | Path) -> Comparison:
    """Read and check a comparison file.

    Raises:
        DataError: the file is missing or no YAML mapping.
        FileProblemsError: all other problems at once, each with its line.
    """
    path = Path(path)
    root = _read_root(path)
    problems = Problems(path)
    entries = root.entries(problems)
    _check_keys(entries, _KEYS, "a comparison", problems)
    for key in ("datasets", "models"):
        if key not in entries:
            problems.add(root.line, f"'{key}' is missing")
    comparison = Comparison(path)
    for key, read in _READERS.items():
        if key in entries:
            read(comparison, entries[key], problems)
    if "models" in entries:
        _read_models(comparison, entries["models"], problems)
    _check_shared_settings(comparison, entries.get("settings"), problems)
    problems.raise_if_any()
    return comparison


def _read_root(path: Path) -> Located:
    """Root of the file.

    Raises:
        DataError: missing, unreadable, empty or malformed.
    """
    root = read_node(path, "comparison file")
    if not isinstance(root, yaml.MappingNode):
        raise DataError(path, "is no comparison", "lines of 'key: value'", line=1)
    return Located(root)


def _check_keys(
    entries: dict[str, Located], known: tuple[str, ...], what: str, problems: Problems
) -> None:
    for key, node in entries.items():
        if key not in known:
            problems.add(node.line, f"'{key}' is no key of {what}{near_names(key, known)}; "
                                    f"expected {', '.join(known)}")


# ---- one reader per key ----------------------------------------------------------------------


def _read_title(comparison: Comparison, node: Located, problems: Problems) -> None:
    comparison.title = _text(node, "title", problems)


def _read_datasets(comparison: Comparison, node: Located, problems: Problems) -> None:
    for element in node.elements():
        name = _text(element, "a dataset's name", problems)
        if name in comparison.datasets:
            problems.add(element.line, f"dataset '{name}' stands twice")
        elif name:
            comparison.datasets[name] = element.line
    if not node.elements():
        problems.add(node.line, "'datasets' names no dataset")


def _read_protocol(comparison: Comparison, node: Located, problems: Problems) -> None:
    if node.value not in PROTOCOLS:
        problems.add(node.line, f"there is no protocol {node.value!r}"
                                f"{near_names(str(node.value), PROTOCOLS)}; expected one of "
                                f"{', '.join(PROTOCOLS)}")
    else:
        comparison.protocol = node.value


def _seeds(node: Located, key: str, problems: Problems) -> tuple[int, ...]:
    count = node.value
    if isinstance(count, int) and 1 < count <= _MOST_SEEDS_MEANT:
        problems.add(node.line, f"{key}: {count} may be one seed or their number; write {key}: "
                                f"[{count}], or {key}: {list(range(1, count + 1))}")
        return ()
    seeds: list[int] = []
    for element in node.elements():
        seed = element.value
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
            problems.add(element.line, f"{key}: {seed!r} is no seed; expected an integer in "
                                       "[0, 4294967295]")
        elif seed in seeds:
            problems.add(element.line, f"{key}: {seed} stands twice")
        else:
            seeds.append(seed)
    if not node.elements():
        problems.add(node.line, f"'{key}' names no seed")
    return tuple(seeds)


def _read_seeds(comparison: Comparison, node: Located, problems: Problems) -> None:
    comparison.seeds = _seeds(node, "seeds", problems)


def _read_split_seeds(comparison: Comparison, node: Located, problems: Problems) -> None:
    comparison.split_seeds = _seeds(node, "split_seeds", problems)


def _read_metrics(comparison: Comparison, node: Located, problems: Problems) -> None:
    metrics: list[str] = []
    for element in node.elements():
        text = str(element.value).lower()
        name, _, cutoff = text.partition("@")
        if name not in RANKING_METRICS:
            problems.add(element.line, f"there is no metric '{element.value}'"
                                       f"{near_names(name, RANKING_METRICS)}; expected one of "
                                       f"{', '.join(RANKING_METRICS)}, as in recall@20")
        elif not cutoff.isdigit() or int(cutoff) < 1:
            problems.add(element.line, f"metric '{element.value}' has no cut-off; expected for "
                                       f"example {name}@20")
        else:
            metrics.append(f"{name}@{int(cutoff)}")
    if not node.elements():
        problems.add(node.line, "'metrics' names no metric")
    comparison.metrics = tuple(dict.fromkeys(metrics))


def _read_model_settings(comparison: Comparison, node: Located, problems: Problems) -> None:
    pattern = _text(node, "model_settings", problems)
    for name in re.findall(r"[{}][^{}]*[{}]?", pattern):
        if name not in ("{model}", "{dataset}"):
            problems.add(node.line, f"model_settings: {pattern!r} may hold {{model}} and "
                                    "{dataset} in braces, and nothing else")
            return
    if "\0" in pattern:
        problems.add(node.line, f"model_settings: {pattern!r} is no path")
        return
    if "{model}" not in pattern:
        problems.add(node.line, f"model_settings: {pattern!r} names the same file for every "
                                "model; expected {model} in it")
    comparison.model_settings = pattern


def _read_settings(comparison: Comparison, node: Located, problems: Problems) -> None:
    entries = _mapping(node, "settings", problems)
    comparison.settings = {key: value.value for key, value in entries.items()}
    comparison.settings_lines = {key: value.line for key, value in entries.items()}


_READERS = {
    "title": _read_title, "datasets": _read_datasets, "protocol": _read_protocol,
    "seeds": _read_seeds, "split_seeds": _read_split_seeds, "metrics": _read_metrics,
    "model_settings": _read_model_settings, "settings": _read_settings,
}


# ---- models ----------------------------------------------------------------------------------


def _read_models(comparison: Comparison, node: Located, problems: Problems) -> None:
    for element in node.elements():
        if element.is_mapping:
            comparison.rows += _rows_of(element, problems)
        else:
            name = _text(element, "a model's name", problems)
            if name and _keys_of(name, element.line, problems):
                comparison.rows.append(FileRow(name, {}, None, element.line))
    if not node.elements():
        problems.add(node.line, "'models' names no model")


def _keys_of(model: str, line: int, problems: Problems) -> ModelKeys | None:
    try:
        return ModelKeys.of(model)
    except UserError as error:
        problems.add(line, str(error))
        return None


def _rows_of(element: Located, problems: Problems) -> list[FileRow]:
    """Rows of one entry: the model on each graph, then each variant on the first graph."""
    entries = element.entries(problems)
    _check_keys(entries, _MODEL_KEYS, "a model", problems)
    if "model" not in entries:
        problems.add(element.line, "'model' is missing")
        return []
    model = _text(entries["model"], "a model's name", problems)
    keys = _keys_of(model, entries["model"].line, problems) if model else None
    if keys is None:
        return []
    label = _text(entries["label"], "label", problems) if "label" in entries else None
    own = _checked_settings(entries.get("settings"), keys, problems)
    graphs = _graphs(entries.get("kg"), keys, problems)
    variants = entries["variants"].elements() if "variants" in entries else []
    if label and len(graphs) + len(variants) > 1:
        problems.add(entries["label"].line, "a label is for one row; write the entry once for "
                                            "each row that needs a label")
    rows = [FileRow(model, {**own, **kg}, label, element.line) for kg in graphs]
    for variant in variants:
        changed = _checked_settings(variant, keys, problems)
        if not changed and not problems.found:
            problems.add(variant.line, "a variant changes at least one setting")
        rows.append(FileRow(model, {**own, **graphs[0], **changed}, None, variant.line))
    return rows


def _graphs(
    node: Located | None, keys: ModelKeys, problems: Problems
) -> list[dict[str, str]]:
    """Settings of each graph control; the plain row where none is named."""
    if node is None:
        return [{}]
    if not keys.reads_graph:
        problems.add(node.line, f"kg: {keys.model} reads no graph")
    graphs: list[dict[str, str]] = []
    for element in node.elements() or [node]:
        kg = "none" if element.value is None else element.value
        if kg not in KG_CONTROLS:
            problems.add(element.line, f"kg: there is no graph control {kg!r}; expected one of "
                                       f"{', '.join(KG_CONTROLS)}")
        elif {"kg": kg} in graphs:
            problems.add(element.line, f"kg: '{kg}' stands twice")
        else:
            graphs.append({"kg": kg})
    return graphs or [{}]


def _checked_settings(
    node: Located | None, keys: ModelKeys, problems: Problems
) -> dict[str, Any]:
    if node is None:
        return {}
    entries = _mapping(node, "settings", problems)
    for key, value in entries.items():
        problem = _setting_problem(key, value.value, keys)
        if problem:
            problems.add(value.line, problem)
    return {key: value.value for key, value in entries.items()}


def _setting_problem(key: str, value: Any, keys: ModelKeys) -> str | None:
    if key in _SAID_ELSEWHERE:
        return f"'{key}' is no setting of a row; write it under '{_SAID_ELSEWHERE[key]}'"
    return keys.problem(key, value)


def _check_shared_settings(
    comparison: Comparison, node: Located | None, problems: Problems
) -> None:
    """A shared setting needs one model that has the key, and a value that is right for all."""
    models = sorted({row.model for row in comparison.rows})
    if node is None or not models:
        return
    every = [ModelKeys.of(model) for model in models]
    for key, value in comparison.settings.items():
        having = [keys for keys in every if keys.has(key)] or every[:1]
        for problem in {_setting_problem(key, value, keys) for keys in having} - {None}:
            problems.add(comparison.settings_lines[key], str(problem))


# ---- pieces ----------------------------------------------------------------------------------


def _text(node: Located, what: str, problems: Problems) -> str:
    value = node.value
    if isinstance(value, str) and value.strip():
        return value
    problems.add(node.line, f"{what}: {value!r} is no text")
    return ""


def _mapping(node: Located, what: str, problems: Problems) -> dict[str, Located]:
    if node.is_mapping:
        return node.entries(problems)
    if node.value is not None:
        problems.add(node.line, f"{what}: expected 'key: value' pairs, got {node.value!r}")
    return {}
