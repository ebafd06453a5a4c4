"""From a comparison file to the runs it means, and what of them is in the store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffkg_recbole.compare.comparison import Comparison, Row
from diffkg_recbole.compare.estimate import estimate, past_runs
from diffkg_recbole.config import Config
from diffkg_recbole.config.config import PROPERTIES
from diffkg_recbole.config.model_keys import ModelKeys
from diffkg_recbole.config.plain_yaml import read_yaml
from diffkg_recbole.config.yaml_lines import Problems
from diffkg_recbole.errors import UserError
from diffkg_recbole.plain import canonical_json
from diffkg_recbole.recording import run_label
from diffkg_recbole.store import (
    CorruptRunError,
    RunRecord,
    RunStore,
    code_version,
    data_files,
    determining,
)
from diffkg_recbole.text import flag_text

STATES = ("finished", "interrupted", "failed", "running", "new")


@dataclass(frozen=True)
class PlannedRun:
    """One run that a comparison file means.

    Args:
        label: the row it belongs to.
        model, dataset, seed, split_seed: what it is.
        settings: configuration keys that differ from the defaults.
        key: text that is equal for runs with the same determining configuration.
        epochs: most epochs that it may take.
        files: hashes, now, of the dataset's files that the model reads.
        record: the run in the store, None if there is none.
        seconds: estimated from finished runs of the same kind, None if there are none.
    """

    label: str
    model: str
    dataset: str
    seed: int
    split_seed: int
    settings: dict[str, Any]
    key: str
    epochs: int
    files: dict[str, str]
    record: RunRecord | None = None
    seconds: float | None = None

    @property
    def state(self) -> str:
        """One of :data:`STATES`."""
        return "new" if self.record is None else self.record.status

    @property
    def flags(self) -> list[str]:
        """Flags that make ``diffkg-recbole train`` do this run."""
        values = {"model": self.model, "dataset": self.dataset, **self.settings}
        return [f"--{key}={flag_text(value)}" for key, value in values.items()]

    def is_recorded_in(self, record: RunRecord, same_files: bool = True) -> bool:
        """Whether a run folder holds this run: same configuration, same code, same files.

        Args:
            same_files: False accepts other files, which may still hold the same pairs.
        """
        if (record.model, record.dataset, record.seed) != (self.model, self.dataset, self.seed):
            return False
        recorded = record.get("data_files")
        if same_files and recorded is not None and not self.files.items() <= recorded.items():
            return False
        if (record.get("code") or {}).get("version", code_version()) != code_version():
            return False
        try:
            return configuration_key(record.config()) == self.key
        except CorruptRunError:
            return False


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


def configuration_key(configuration: Mapping[str, Any]) -> str:
    """Text that is equal for equal determining parts of a resolved configuration."""
    return canonical_json(determining(configuration))


def make_plan(comparison: Comparison, store: RunStore) -> Plan:
    """Resolve every row, check it, and look it up in the store.

    Raises:
        FileProblemsError: datasets that are not there, settings that RecBole refuses, rows that
            have one name or are one and the same; all at once, each with its line.
    """
    problems = Problems(comparison.path)
    plan = Plan(comparison, store)
    resolved: dict[tuple[str, Row], tuple[str, dict, dict]] = {}
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
                resolved[dataset, row] = (run_label(config), settings, config.plain())
            if folder is not None and not folder.is_dir():
                problems.add(line, f"dataset '{dataset}' is not there: {folder} is no folder; "
                                   "diffkg-recbole convert makes one from the authors' files")
    _check_rows(comparison, resolved, problems)
    problems.raise_if_any()
    plan.runs = [*_runs(comparison, resolved)]
    _look_up(plan)
    return plan


def _settings(comparison: Comparison, row: Row, dataset: str) -> dict[str, Any]:
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


def _check_graph(row: Row, folder: Path, dataset: str, problems: Problems) -> None:
    graph = folder / f"{dataset}.kg"
    if ModelKeys.of(row.model).reads_graph and not graph.is_file():
        problems.add(row.line, f"{row.model} is a knowledge model, but dataset '{dataset}' has no "
                               f"graph: {graph} does not exist")


def _check_rows(
    comparison: Comparison, resolved: Mapping[tuple[str, Row], tuple], problems: Problems
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
    comparison: Comparison, resolved: Mapping[tuple[str, Row], tuple]
) -> Iterator[PlannedRun]:
    """A whole table with the first seed comes before the second seed."""
    for dataset in comparison.datasets:
        for split_seed in comparison.split_seeds:
            for seed in comparison.seeds:
                for row in comparison.rows:
                    label, settings, plain = resolved[dataset, row]
                    seeds = {"seed": seed, "split_seed": split_seed}
                    yield PlannedRun(
                        label, row.model, dataset, seed, split_seed, {**settings, **seeds},
                        configuration_key({**plain, **seeds}), plain["epochs"],
                        _files_read(row.model, Path(plain["data_path"]) / dataset, dataset))


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
