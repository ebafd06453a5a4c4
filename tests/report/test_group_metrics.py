"""Metrics of groups in the report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from diffkg_recbole.report import Report, build_report
from diffkg_recbole.store import RunStore
from tests.report.fake_runs import FakeRun, write_fake_run


def test_groups_against_plain_means(showcase: Report) -> None:
    one = showcase.sections[0]
    users, popularity, triples = one.groups
    assert [g.title for g in one.groups] == ["Users by activity", "Items by popularity",
                                             "Items by number of triples"]
    row = one.section.row("KGIN")
    tables = [pd.read_parquet(run.folder / "users.parquet") for run in row.runs]
    low, high = map(int, users.names[0].split("–"))
    inside = [table[table["n_train"].between(low, high)]["recall@20"] for table in tables]
    assert users.sizes[0] == len(inside[0])
    expected = sum(values.mean() for values in inside) / 2
    assert users.means["KGIN"][0] == pytest.approx(expected, abs=1e-12)

    pairs = [pd.read_parquet(run.folder / "pairs.parquet") for run in row.runs]
    low, high = map(int, popularity.names[-1].split("–"))
    hits = [table[table["item_popularity"].between(low, high)]["rank"] for table in pairs]
    expected = sum(((rank >= 1) & (rank <= 20)).mean() for rank in hits) / 2
    assert popularity.means["KGIN"][-1] == pytest.approx(expected, abs=1e-12)
    assert sum(popularity.sizes) == sum(triples.sizes) == len(pairs[0])


def test_rows_without_files_are_left_out_and_named(hostile: Report) -> None:
    one = hostile.sections[0]
    assert len(one.groups) == 3
    assert all("KGIN" not in groups.means for groups in one.groups)
    notes = " ".join(one.notes)
    assert "KGIN is left out of users by activity: users.parquet is missing." in notes
    assert ("KGIN is left out of items by popularity and items by number of triples: "
            "pairs.parquet is missing.") in notes


def test_no_files_at_all_is_a_note(tmp_path: Path) -> None:
    folder = write_fake_run(tmp_path, FakeRun(users=30, items=20))
    for name in ("users.parquet", "pairs.parquet"):
        (folder / name).unlink()
    one = build_report(RunStore(tmp_path).scan().records).sections[0]
    assert one.groups == []
    assert "Users by activity: not shown, because no run has its users.parquet." in one.notes


def test_graph_free_runs_have_no_groups_by_triples(tmp_path: Path) -> None:
    folder = write_fake_run(tmp_path, FakeRun(users=30, items=20))
    pairs = pd.read_parquet(folder / "pairs.parquet")
    pairs.assign(item_triples=0).to_parquet(folder / "pairs.parquet")
    one = build_report(RunStore(tmp_path).scan().records).sections[0]
    assert [groups.title for groups in one.groups] == ["Users by activity", "Items by popularity"]
    assert any("no run recorded a triple" in note for note in one.notes)
