"""From a comparison file to the runs it means, and what of them is in the store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffkg_recbole.compare.estimate import estimate, past_runs
from diffkg_recbole.compare.file import Comparison, FileRow
from diffkg_recbole.compare.planned import PlannedRun, configuration_key
from diffkg_recbole.config import Config
from diffkg_recbole.config.config import PROPERTIES
from diffkg_recbole.config.model_keys import ModelKeys
from diffkg_recbole.config.plain_yaml import read_yaml
from diffkg_recbole.config.yaml_lines import Problems
from diffkg_recbole.errors import UserError
from diffkg_recbole.run_tables import run_label
from diffkg_recbole.store import RunStore, code_hash, data_files


@dataclass
class Plan:
    """Every run of a comparison."""

    comparison: Comparison
    store: RunStore
    runs: list[PlannedRun] = field(default_factory=list)

    @property
    def open(self) -> list[PlannedRun]:
        """Runs without a result."""
        return [run for run in self.runs if run.state != "finished"]

    def seconds_left(self, jobs: int = 1) -> tuple[float, int]:
        """Estimated seconds of the open runs with ``jobs`` at once, and how many open runs
        have no estimate."""
        known = [run.seconds for run in self.open if run.seconds is not None]
        longest = max(known, default=0.0)
        return max(longest, sum(known) / jobs), len(self.open) - len(known)


def make_plan(comparison: Comparison, store: RunStore, elsewhere: bool = False) -> Plan:
    """Resolve every row, check it, and look it up in the store.

    Args:
        elsewhere: the runs are made on machines with other devices than this one's.

    Raises:
        FileProblemsError: datasets that are not there, settings that RecBole refuses, rows that
            have one name or are one and the same; all at once, each with its line.
    """
    problems = Problems(comparison.path)
    plan = Plan(comparison, store)
    resolved: dict[tuple[str, FileRow], tuple[str, dict, dict, str | None]] = {}
    with _environment_kept():
        for dataset, line in comparison.datasets.items():
            folder = None
            for row in comparison.rows:
                settings = _settings(comparison, row, dataset)
                try:
                    config = Config(row.model, dataset, None, settings)
                except UserError as error:
                    problems.add(row.line, f"{row.model} on {dataset}: {error}")
                    continue
                folder = Path(config["data_path"])
                if not folder.is_dir():
                    break
                _check_graph(row, folder, dataset, problems)
                resolved[dataset, row] = (run_label(config), settings, config.plain(),
                                          None if elsewhere else config["device"].type)
            if folder is not None and not folder.is_dir():
                problems.add(line, f"dataset '{dataset}' is not there: {folder} is no folder; "
                                   "diffkg-recbole convert makes one from the authors' files")
    _name_apart(comparison, resolved)
    _check_rows(comparison, resolved, problems)
    problems.raise_if_any()
    plan.runs = [*_runs(comparison, resolved)]
    _look_up(plan)
    return plan


def _settings(comparison: Comparison, row: FileRow, dataset: str) -> dict[str, Any]:
    """Configuration of a row on a dataset, seeds left out: file < shared < own."""
    keys = ModelKeys.of(row.model)
    file = comparison.settings_file(row.model, dataset)
    settings = dict(read_yaml(file)[0]) if file else {}
    settings.update({k: v for k, v in comparison.settings.items() if keys.has(k)})
    settings.update(row.settings)
    if row.label:
        settings["label"] = row.label
    if comparison.protocol != "clean":
        settings["eval_protocol"] = comparison.protocol
    return {**settings, **_metric_settings(comparison.metrics)}


def _metric_settings(metrics: Iterable[str]) -> dict[str, Any]:
    """What must be set for a run to measure ``metrics``; nothing if it does so anyway."""
    defaults = read_yaml(PROPERTIES / "overall.yaml")[0]
    names = [metric.split("@")[0] for metric in metrics]
    cutoffs = [int(metric.split("@")[1]) for metric in metrics]
    spelled = {name.lower(): name for name in defaults["metrics"]}
    wanted = [*defaults["metrics"], *(n.upper() for n in names if n not in spelled)]
    changed = {}
    if wanted != defaults["metrics"]:
        changed["metrics"] = list(dict.fromkeys(wanted))
    if not set(cutoffs) <= set(defaults["topk"]):
        changed["topk"] = sorted({*defaults["topk"], *cutoffs})
    return changed


def _check_graph(row: FileRow, folder: Path, dataset: str, problems: Problems) -> None:
    graph = folder / f"{dataset}.kg"
    if ModelKeys.of(row.model).reads_graph and not graph.is_file():
        problems.add(row.line, f"{row.model} is a knowledge model, but dataset '{dataset}' has no "
                               f"graph: {graph} does not exist")


def _name_apart(
    comparison: Comparison, resolved: dict[tuple[str, FileRow], tuple]
) -> None:
    """Rows of one name get the settings that set them apart: ``DiffKG, n_layers 3``."""
    for dataset in comparison.datasets:
        by_label: dict[str, list[FileRow]] = {}
        for row in comparison.rows:
            if (dataset, row) in resolved and not row.label:
                by_label.setdefault(resolved[dataset, row][0], []).append(row)
        for label, rows in by_label.items():
            for row in rows if len(rows) > 1 else ():
                own = [f"{key} {value}" for key, value in row.settings.items() if any(
                    key not in other.settings or other.settings[key] != value for other in rows)]
                if own:
                    name = ", ".join([label, *own])
                    _, settings, plain, device = resolved[dataset, row]
                    resolved[dataset, row] = (name, {**settings, "label": name},
                                              {**plain, "label": name}, device)


def _check_rows(
    comparison: Comparison, resolved: Mapping[tuple[str, FileRow], tuple], problems: Problems
) -> None:
    for dataset in comparison.datasets:
        labels: dict[str, int] = {}
        for row in comparison.rows:
            if (dataset, row) not in resolved:
                continue
            label = resolved[dataset, row][0]
            if label in labels:
                problems.add(row.line, f"this row and that of line {labels[label]} are both named "
                                       f"'{label}'; remove one, or give it a 'label'")
            labels.setdefault(label, row.line)


def _runs(
    comparison: Comparison, resolved: Mapping[tuple[str, FileRow], tuple]
) -> Iterator[PlannedRun]:
    """A whole table with the first seed comes before the second seed."""
    for dataset in comparison.datasets:
        for split_seed in comparison.split_seeds:
            for seed in comparison.seeds:
                for row in comparison.rows:
                    label, settings, plain, device = resolved[dataset, row]
                    seeds = {"seed": seed, "split_seed": split_seed}
                    yield PlannedRun(
                        label, row.model, dataset, seed, split_seed, {**settings, **seeds},
                        configuration_key({**plain, **seeds}), plain["epochs"],
                        _files_read(row.model, Path(plain["data_path"]) / dataset, dataset),
                        code_hash(), device)


def _files_read(model: str, folder: Path, dataset: str) -> dict[str, str]:
    files = data_files(folder, dataset)
    if ModelKeys.of(model).reads_graph:
        return files
    return {name: digest for name, digest in files.items() if not name.endswith((".kg", ".link"))}


def _look_up(plan: Plan) -> None:
    """Fill in the records and the estimates."""
    records = plan.store.scan().records if plan.store.root.is_dir() else []
    past = [*past_runs(records)]
    for place, run in enumerate(plan.runs):
        found = [record for record in records if run.is_recorded_in(record)]
        found.sort(key=lambda record: record.finished)
        values = {**vars(run), "record": found[-1] if found else None}
        values["seconds"] = estimate(run, past)
        plan.runs[place] = PlannedRun(**values)


@contextmanager
def _environment_kept() -> Iterator[None]:
    """RecBole's Config sets CUDA_VISIBLE_DEVICES, which must not reach the runs."""
    before = os.environ.copy()
    try:
        yield
    finally:
        for key in set(os.environ) - set(before):
            del os.environ[key]
        os.environ.update(before)
