"""Metrics of groups of users and items, for every row of a section."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from diffkg_recbole.errors import UserError
from diffkg_recbole.groups import (
    Grouping,
    GroupTable,
    item_group_recall,
    item_groups,
    longest_list,
    over_runs,
    user_group_metrics,
    user_groups,
)
from diffkg_recbole.report.results import Section, reason
from diffkg_recbole.store import RunRecord
from diffkg_recbole.text import metric_name


@dataclass(frozen=True)
class Groups:
    """One way to cut the test users or items, and each row's metric in every group.

    Args:
        title: "Users by activity".
        factor: what the groups are cut by, in words.
        metric: name of the metric, as people write it.
        names: of the groups, ascending.
        sizes: users, or test pairs, in each group.
        counted: what the sizes count.
        means, sds: label -> a number per group; None where there is none.
    """

    title: str
    factor: str
    metric: str
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    counted: str
    means: Mapping[str, tuple[float | None, ...]]
    sds: Mapping[str, tuple[float | None, ...]]


def group_metrics(section: Section) -> tuple[list[Groups], list[str]]:
    """The three standard cuts.

    Returns:
        the groups that could be made, and notes on what could not, in words.
    """
    if not section.runs:
        return [], []
    cutoff = _cutoff(section)
    recall = f"recall@{cutoff}"
    cuts: list[tuple[str, Callable[[], tuple[Grouping, GroupTable]], str, str]] = [
        ("Users by activity", partial(_user_cut, section), section.metric, "users"),
        *((f"Items by {words}", partial(_item_cut, section, by, cutoff), recall, "pairs")
          for by, words in (("popularity", "popularity"), ("triples", "number of triples"))),
    ]
    made, notes = [], []
    left_out: dict[tuple[str, str], list[str]] = {}
    for title, make, metric, counted in cuts:
        try:
            groups, missing = _groups(section, title, make, metric, counted)
        except UserError as error:
            notes.append(f"{title}: not shown, because {reason(error)}.")
        else:
            made.append(groups)
            for row_and_reason in missing:
                left_out.setdefault(row_and_reason, []).append(title.lower())
    notes += [f"{label} is left out of {' and '.join(titles)}: {why}."
              for (label, why), titles in left_out.items()]
    return made, notes


def _cutoff(section: Section) -> int:
    """The cut-off of the compared metric, else the longest recorded list."""
    _, _, cutoff = section.metric.partition("@")
    return int(cutoff) if cutoff.isdigit() else longest_list(section.runs[0])


def _source(section: Section, file: str) -> RunRecord:
    """The run that defines the groups: one with the file, if possible on its own graph."""
    rows = sorted(section.rows, key=lambda row: row.kind not in ("graph", "variant"))
    runs = [run for row in rows for run in row.runs if (run.folder / file).exists()]
    if not runs:
        raise UserError(f"no run has its {file}")
    return runs[0]


def _user_cut(section: Section) -> tuple[Grouping, GroupTable]:
    grouping = user_groups(_source(section, "users.parquet"))
    return grouping, partial(user_group_metrics, grouping=grouping, metrics=[section.metric])


def _item_cut(section: Section, by: str, cutoff: int) -> tuple[Grouping, GroupTable]:
    grouping = item_groups(_source(section, "pairs.parquet"), by)
    if by == "triples" and grouping.names == ["0"]:
        raise UserError("no run recorded a triple of a test item")
    return grouping, partial(item_group_recall, grouping=grouping, k=cutoff)


def _groups(
    section: Section, title: str, make: Callable[[], tuple[Grouping, GroupTable]], metric: str,
    counted: str,
) -> tuple[Groups, list[tuple[str, str]]]:
    """The groups, and the rows that lack the file for them."""
    grouping, table = make()
    sizes: tuple[int, ...] = ()
    means, sds, missing = {}, {}, []
    for row in section.rows:
        try:
            mean, sd = over_runs(row.runs, table)
        except UserError as error:
            missing.append((row.label, reason(error)))
            continue
        means[row.label], sds[row.label] = _optional(mean[metric]), _optional(sd[metric])
        sizes = tuple(int(size) for size in mean[counted])
    names = tuple(name.replace("-", "–") for name in grouping.names)
    words = "test pairs" if counted == "pairs" else "test users"
    return Groups(title, grouping.factor, metric_name(metric), names, sizes, words, means,
                  sds), missing


def _optional(values: Iterable[float]) -> tuple[float | None, ...]:
    return tuple(None if value != value else float(value) for value in values)  # NaN != NaN
