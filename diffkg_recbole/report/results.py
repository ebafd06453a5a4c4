"""From run folders to the rows of a leaderboard: one section per data set and protocol."""

from __future__ import annotations

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from diffkg_recbole.plain import canonical_json
from diffkg_recbole.statistics import FULL_RANKING, Measure, evaluation_of
from diffkg_recbole.store import CorruptRunError, RunRecord, determining
from diffkg_recbole.text import one_line

KNOWLEDGE_MODELS = frozenset({
    "CFKG", "CKE", "DiffKG", "KGAT", "KGCL", "KGCN", "KGIN", "KGNNLS", "KTUP", "MCCLK", "MKR",
    "RippleNet",
})
"""Models that read the knowledge graph, for runs that do not record whether theirs does."""

PREFERRED_METRICS = ("recall@20", "ndcg@20")
_NAMED_DIFFERENCES = 3
COSTS = ("parameters", "seconds_per_epoch", "seconds_total", "peak_host_mb", "peak_gpu_mb")


@dataclass(frozen=True)
class Row:
    """One row of the leaderboard: the runs that differ in nothing but the seed.

    Args:
        label: name in tables, unique in its section.
        runs: the finished runs, ordered by seed.
    """

    label: str
    runs: tuple[RunRecord, ...]

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.runs[0].model

    @property
    def variant(self) -> str | None:
        """Name of the model's variant, None for the model as published."""
        return self.runs[0].get("variant")

    @property
    def knowledge(self) -> bool:
        """Whether the model reads a knowledge graph, by the run's own record."""
        recorded = self.runs[0].get("reads_graph")
        return recorded if isinstance(recorded, bool) else self.model in KNOWLEDGE_MODELS

    @property
    def kg(self) -> str | None:
        """Which graph a knowledge model saw: original, none or random."""
        return (self.runs[0].get("kg") or "original") if self.knowledge else None

    @property
    def kind(self) -> str:
        """``plain`` (no graph), ``graph``, ``control`` (none or random graph) or ``variant``."""
        if not self.knowledge:
            return "plain"
        if self.kg != "original":
            return "control"
        return "variant" if self.variant else "graph"

    @property
    def seeds(self) -> tuple[Any, ...]:
        """Seeds of the runs."""
        return tuple(run.seed for run in self.runs)

    @cached_property
    def metrics(self) -> dict[str, Measure]:
        """Test metrics that every run of the row has."""
        return _measures([run.test for run in self.runs])

    @cached_property
    def valid(self) -> dict[str, Measure]:
        """Validation metrics that every run of the row has, of its chosen epoch."""
        return _measures([run.valid for run in self.runs])

    @cached_property
    def cost(self) -> dict[str, Measure]:
        """What the runs cost, by the names of :data:`COSTS`."""
        return _measures([run.get("cost") or {} for run in self.runs])


@dataclass(frozen=True)
class Unfinished:
    """A run without a result: failed, interrupted, running, or unreadable."""

    label: str
    seed: Any
    status: str
    error: str
    folder: str


@dataclass
class Section:
    """The comparable runs of one data set under one protocol and kind of evaluation.

    Args:
        rows: best first by ``metric``.
        metrics: names of the metrics, the one compared first.
        unfinished: runs of the same data set and protocol without a result.
        evaluation: among which items was ranked, as :func:`evaluation_of` names it.
    """

    dataset: str
    protocol: str
    split_seed: Any
    metric: str
    metrics: tuple[str, ...]
    rows: list[Row]
    unfinished: list[Unfinished] = field(default_factory=list)
    evaluation: str = FULL_RANKING

    @property
    def full_ranking(self) -> bool:
        """Whether every item was a candidate."""
        return self.evaluation == FULL_RANKING

    @property
    def protocol_name(self) -> str:
        """The protocol's name, which full ranking and sampled evaluation never share."""
        return self.protocol if self.full_ranking else f"{self.protocol}, {self.evaluation}"

    @property
    def candidates(self) -> str:
        """Among which items a test item was ranked, in words."""
        return candidates_in_words(self.evaluation)

    @property
    def runs(self) -> list[RunRecord]:
        """Every finished run."""
        return [run for row in self.rows for run in row.runs]

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """The data fingerprint that all runs share."""
        return self.rows[0].runs[0]["fingerprint"] if self.rows else {}

    @property
    def test_selected(self) -> bool:
        """Whether any run chose its epoch on the test part."""
        return any(bool(run.get("test_selected")) for run in self.runs)

    def row(self, label: str) -> Row | None:
        """The row of that name, if there is one."""
        return next((row for row in self.rows if row.label == label), None)


def candidates_in_words(evaluation: str) -> str:
    """``uni100``: "100 items per test pair, sampled uniformly (not every item)"."""
    if evaluation == FULL_RANKING:
        return "every item"
    found = re.fullmatch(r"(uni|pop)(\d+)", evaluation)
    if found:
        how = {"uni": "uniformly", "pop": "by popularity"}[found[1]]
        return f"{found[2]} sampled items per test pair, drawn {how}"
    return f"the items of RecBole's evaluation mode '{evaluation}' alone"


def reason(error: Exception) -> str:
    """Why something is missing, without the name of the folder, for a note about its row."""
    return one_line(error.reason if isinstance(error, CorruptRunError) else error)


def sections(records: Iterable[RunRecord], metric: str | None = None) -> list[Section]:
    """Group runs by data set, protocol, evaluation and split; refuse to mix different data.

    Args:
        records: runs of any status; the same run twice counts once.
        metric: the metric to sort and compare by; by default Recall@20 where it was measured.

    Returns:
        Sections ordered by name; one without any finished run has no rows.

    Raises:
        UserError: if runs that would share a table were made on different data.
    """
    grouped: dict[tuple[str, str, str, str], list[RunRecord]] = defaultdict(list)
    for record in {record.id: record for record in records}.values():
        key = (record.dataset, record.protocol or "unknown", evaluation_of(record),
               str(record.get("split_seed")))
        grouped[key].append(record)
    return [_section(grouped[key], metric, key[2]) for key in sorted(grouped)]


def _section(records: Sequence[RunRecord], metric: str | None, evaluation: str) -> Section:
    finished = [record for record in records if record.finished]
    rows = _rows(finished)
    names = _metric_names(rows, metric)
    first = records[0]
    rows.sort(key=lambda row: (-row.metrics[names[0]].mean if names and names[0] in row.metrics
                               else math.inf, row.label))
    return Section(
        dataset=one_line(first.dataset), protocol=one_line(first.protocol or "unknown"),
        split_seed=first.get("split_seed"), metric=names[0] if names else "", metrics=names,
        rows=rows, unfinished=[_unfinished(record) for record in records if not record.finished],
        evaluation=one_line(evaluation))


def _unfinished(record: RunRecord) -> Unfinished:
    error = record.get("error") or {"running": "still running"}.get(
        record.status, "stopped before the end; the same command goes on with it")
    return Unfinished(one_line(record.label), record.seed, record.status, one_line(error),
                      one_line(record.folder.name))


def _metric_names(rows: Sequence[Row], metric: str | None) -> tuple[str, ...]:
    """All metrics of all rows: the chosen one first, then the preferred, then the others."""
    known = {name: None for row in rows for name in row.metrics}
    first = [name for name in (metric, *PREFERRED_METRICS) if name in known]
    return tuple(dict.fromkeys([*first, *known]))


def _rows(records: Sequence[RunRecord]) -> list[Row]:
    """Runs that differ only in the seed make a row; equal labels get what sets them apart."""
    by_label: dict[str, dict[str, list[RunRecord]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        by_label[one_line(record.label)][canonical_json(_settings(record))].append(record)
    rows = []
    for label, groups in by_label.items():
        suffixes = _differences([_settings(runs[0]) for runs in groups.values()])
        for suffix, runs in zip(suffixes, groups.values()):
            runs.sort(key=lambda run: (run.seed is not None, run.seed or 0))
            rows.append(Row(label + suffix, tuple(runs)))
    return rows


def _settings(record: RunRecord) -> dict[str, Any]:
    """What determines a run's result apart from seed and data."""
    settings = {key: value for key, value in determining(record.config()).items() if key != "seed"}
    code = record.get("code") or {}
    return {**settings, "code": (code.get("hash") or code.get("version") or "")[:12] or None}


def _differences(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each of several settings, ``" [key: value, ...]"`` of the keys that are not common."""
    if len(settings) == 1:
        return [""]
    keys = sorted({key for one in settings for key in one})
    varying = [key for key in keys
               if len({canonical_json(one.get(key)) for one in settings}) > 1]
    if len(varying) > _NAMED_DIFFERENCES:
        return [f" [{', '.join(varying[:2])} and more: "
                f"{hashlib.sha256(canonical_json(one).encode()).hexdigest()[:6]}]"
                for one in settings]
    return [" [" + ", ".join(f"{key}: {one_line(one.get(key))}" for key in varying) + "]"
            for one in settings]


def _measures(samples: Sequence[Mapping[str, Any]]) -> dict[str, Measure]:
    """The numbers that every sample has."""
    return {name: Measure(tuple(float(sample[name]) for sample in samples))
            for name in samples[0] if all(sample.get(name) is not None for sample in samples)}
