"""Grouping of runs into sections and rows."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from diffkg_recbole.errors import UserError
from diffkg_recbole.report import Report, build_report
from diffkg_recbole.report.results import Measure, sections
from diffkg_recbole.statistics import IncomparableError
from diffkg_recbole.store import RunRecord, RunStore
from tests.report.fake_runs import FakeRun, write_fake_run

SMALL = FakeRun(users=40, items=30, epochs=3)


def _records(store: Path) -> list[RunRecord]:
    return RunStore(store).scan().records


def _edit(folder: Path, **changes: object) -> None:
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, **changes}))


def test_mean_and_standard_deviation_by_hand() -> None:
    measure = Measure((1.0, 2.0, 4.0))
    assert measure.mean == pytest.approx(7 / 3, abs=1e-15)
    assert measure.sd == pytest.approx(math.sqrt(7 / 3), abs=1e-15)  # (16 + 1 + 25) / 9 / 2
    assert Measure((0.25,)).sd is None


def test_seeds_share_a_row_and_rows_are_sorted(showcase: Report) -> None:
    (one,) = showcase.sections
    rows = one.section.rows
    assert len(rows) == 14
    assert all(row.seeds == (1, 2) for row in rows)
    means = [row.metrics["recall@20"].mean for row in rows]
    assert means == sorted(means, reverse=True)
    bpr = one.section.row("BPR")
    stored = [json.loads((run.folder / "run.json").read_text())["test"]["recall@20"]
              for run in bpr.runs]
    assert bpr.metrics["recall@20"].values == tuple(stored)


def test_kinds_of_rows(showcase: Report) -> None:
    kinds = {row.label: row.kind for row in showcase.sections[0].section.rows}
    assert kinds["EASE"] == "plain"
    assert kinds["KGAT"] == "graph"
    assert kinds["KGAT, kg: random"] == "control"
    assert kinds["DiffKG, w/o CKGC"] == "variant"


def test_a_general_model_that_records_a_graph_is_still_plain(tmp_path: Path) -> None:
    write_fake_run(tmp_path, replace(SMALL, model="LightGCN", kg="original"))
    (section,) = sections(_records(tmp_path))
    assert section.rows[0].kind == "plain"
    assert section.rows[0].kg is None


@pytest.mark.parametrize(("model", "recorded", "kind"), [
    ("MyModel", True, "graph"), ("KGAT", False, "plain"), ("MyModel", None, "plain"),
    ("KGAT", None, "graph")])
def test_whether_a_model_reads_the_graph_is_what_its_run_says(
    tmp_path: Path, model: str, recorded: bool | None, kind: str
) -> None:
    write_fake_run(tmp_path, replace(SMALL, model=model, reads_graph=recorded))
    assert sections(_records(tmp_path))[0].rows[0].kind == kind


def test_equal_labels_with_other_settings_are_told_apart(tmp_path: Path) -> None:
    for rate in (0.01, 0.1):
        for seed in (1, 2):
            write_fake_run(tmp_path, replace(SMALL, seed=seed, config={"learning_rate": rate}))
    (section,) = sections(_records(tmp_path))
    assert sorted(row.label for row in section.rows) == [
        "BPR [learning_rate: 0.01]", "BPR [learning_rate: 0.1]"]
    assert all(row.seeds == (1, 2) for row in section.rows)


def test_settings_without_influence_do_not_split_a_row(tmp_path: Path) -> None:
    for seed, path in ((1, "/here"), (2, "/there")):
        write_fake_run(tmp_path, replace(SMALL, seed=seed, config={"data_path": path}))
    (section,) = sections(_records(tmp_path))
    assert [row.label for row in section.rows] == ["BPR"]


def test_a_copied_run_counts_once(tmp_path: Path) -> None:
    folder = write_fake_run(tmp_path, SMALL)
    shutil.copytree(folder, tmp_path / "copy")
    (section,) = sections(_records(tmp_path))
    assert len(section.runs) == 1


@pytest.mark.parametrize("change", [
    {"dataset": "other"}, {"protocol": "authors"}, {"split_seed": 8},
    {"config": {"eval_args": {"mode": {"valid": "uni100", "test": "uni100"}}}}])
def test_other_data_protocol_or_split_makes_a_section(tmp_path: Path, change: dict) -> None:
    write_fake_run(tmp_path, SMALL)
    write_fake_run(tmp_path, replace(SMALL, **change))
    assert [len(section.rows) for section in sections(_records(tmp_path))] == [1, 1]


def test_different_pairs_are_refused_with_what_differs(tmp_path: Path) -> None:
    write_fake_run(tmp_path, SMALL)
    write_fake_run(tmp_path, replace(SMALL, model="SGL", data_seed=5))
    with pytest.raises(IncomparableError, match=r"different test pairs \(\d+ against \d+\)"):
        build_report(_records(tmp_path))


def test_runs_without_a_result_are_listed(showcase: Report, hostile: Report) -> None:
    (run,) = showcase.sections[0].section.unfinished
    assert (run.label, run.seed, run.status) == ("MCCLK", 1, "failed")
    assert run.error == "RuntimeError: out of memory <b>(5.9 GB)</b>"
    ((folder, reason),) = hostile.corrupt
    assert folder == "torn <b>"
    assert "run.json" in reason


def test_a_store_of_failures_alone_still_reports(tmp_path: Path) -> None:
    write_fake_run(tmp_path, replace(SMALL, broken="ValueError: no"))
    report = build_report(_records(tmp_path))
    assert report.sections[0].section.rows == []
    assert report.sections[0].sentences[0].startswith("Of these runs none has finished")


def test_a_finished_run_without_settings_is_unreadable_not_fatal(tmp_path: Path) -> None:
    write_fake_run(tmp_path, SMALL)
    broken = write_fake_run(tmp_path, replace(SMALL, model="SGL"))
    (broken / "config.yaml").unlink()
    report = build_report(_records(tmp_path))
    assert [row.label for row in report.sections[0].section.rows] == ["BPR"]
    assert report.corrupt == [(broken.name, "config.yaml is missing")]


def test_a_metric_that_one_seed_lacks_is_not_averaged(tmp_path: Path) -> None:
    write_fake_run(tmp_path, SMALL)
    folder = write_fake_run(tmp_path, replace(SMALL, seed=2))
    _edit(folder, test={"ndcg@20": 0.5})
    (section,) = sections(_records(tmp_path))
    assert set(section.rows[0].metrics) == {"ndcg@20"}
    assert section.metric == "ndcg@20"


def test_unknown_metric_and_label_are_refused(showcase_store: Path) -> None:
    records = _records(showcase_store)
    with pytest.raises(UserError, match=r"metric 'recall@7'; known: recall@20, ndcg@20"):
        build_report(records, metric="recall@7")
    with pytest.raises(UserError, match=r"label 'Nobody'; known: .*EASE"):
        build_report(records, reference="Nobody")
    with pytest.raises(UserError, match="no run to report"):
        build_report([])


def test_metric_and_reference_can_be_chosen(showcase_store: Path) -> None:
    report = build_report(_records(showcase_store), metric="mrr@10", reference="Pop")
    one = report.sections[0]
    assert one.section.metrics[:3] == ("mrr@10", "recall@20", "ndcg@20")
    assert one.reference.label == "Pop"
    assert {c.test.metric for c in one.comparisons.values()} == {"mrr@10"}



def test_other_machines_and_changed_code_are_noted(tmp_path: Path) -> None:
    write_fake_run(tmp_path, SMALL)
    folder = write_fake_run(tmp_path, replace(SMALL, model="SGL"))
    _edit(folder, hardware={"cpu": "another"}, code={"version": "0.1.0", "commit": "f" * 40,
                                                      "dirty": True})
    notes = " ".join(build_report(_records(tmp_path)).sections[0].notes)
    assert "different machines" in notes
    assert "2 states of the code" in notes
    assert "changes beside its commit" in notes
