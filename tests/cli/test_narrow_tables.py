"""Tables of the commands on terminals of 60, 80 and 100 columns: no name and no number is lost."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from diffkg_recbole.cli.runs import _listing
from diffkg_recbole.cli.summary import print_summary
from diffkg_recbole.compare.runs_view import active_table, plan_table, result_table
from diffkg_recbole.console import FittingTable
from diffkg_recbole.store import RunStore
from diffkg_recbole.tune.study import RESULT
from diffkg_recbole.tune.trials_view import SearchView, best_table
from tests.compare.planned import plan_of, record_as_finished
from tests.run_folders import finished_run

WIDTHS = pytest.mark.parametrize("width", [60, 80, 100])
LABEL = "DiffKG, kg: random, without its contrast"


def shown(table, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    lines = console.file.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    assert "…" not in "".join(lines)
    return lines


def name_column(lines, title):
    """The words of a column in the order of its lines; numbers reach into it from the right."""
    begin = lines[0].index(title)
    end = begin + re.match(rf"{title} +", lines[0][begin:]).end()
    body = [line for line in lines[1:] if not line.startswith("no room for")]
    words = " ".join(line[begin:end] for line in body).split()
    return [word for word in words if not re.fullmatch("[0-9.±]+", word)]


@pytest.fixture
def plan(tmp_path):
    return plan_of(tmp_path, f"datasets: [tiny]\nmetrics: [recall@20, ndcg@20, mrr@20]\n"
                             f"seeds: [1, 2]\nmodels:\n  - BPR\n"
                             f"  - {{model: DiffKG, kg: random, label: '{LABEL}'}}\n")


def test_columns_go_in_the_declared_order_and_are_named():
    table = FittingTable(["name", "a", "b", "c"], names=["name"], drop=["b", "a", "not there"])
    table.add_row("long name of a row", "1.2345", "2.3456", "[red]3.4567[/]")
    assert shown(table, 60) == ["name                     a       b       c",
                                "long name of a row  1.2345  2.3456  3.4567"]
    assert shown(table, 35)[0].split() == ["name", "a", "c"]
    assert shown(table, 35)[-1] == "no room for: b"
    assert shown(table, 26)[0].split() == ["name", "c"]
    assert shown(table, 26)[-1].startswith("no room for: b, a")


def test_a_row_has_a_cell_for_every_column():
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        FittingTable(["a", "b"]).add_row("1")


@WIDTHS
def test_runs_list(tmp_path, width):
    finished_run(tmp_path, {"u": 0.5}, model="DiffKG", seed=1, label=LABEL)
    finished_run(tmp_path, {"u": 0.5}, model="LightGCN", seed=1, dataset="a-longer-name")
    lines = shown(_listing(RunStore(tmp_path).scan().records, "recall@20"), width)
    assert name_column(lines, "run") == ["LightGCN", *LABEL.split()]
    assert "0.5000" in "".join(lines)


@WIDTHS
def test_the_views_of_a_comparison(plan, width):
    tables = [plan_table(plan), result_table(plan, [
        record_as_finished(plan, run, 0.1 * place) for place, run in enumerate(plan.runs)])]
    names = [name_column(shown(table, width), "row") for table in tables]
    assert names == [["BPR", *LABEL.split()]] * 2
    rows = [{"epoch": 3, "losses": {"bpr": 123.4}, "valid": {"recall@20": 0.1234},
             "seconds": {"train": 1.0}}]
    at_work = [SimpleNamespace(run=run, rows=rows, started=0.0) for run in plan.runs]
    lines = shown(active_table(at_work, "recall@20"), width)
    assert name_column(lines, "row") == ["BPR", *LABEL.split()] * 2


@WIDTHS
def test_the_views_of_a_search(width):
    keys = ["learning_rate", "contrastive_weight", "embedding_size", "reg_weight", "keep_rate"]
    settings = dict.fromkeys(keys, 0.0123456)
    trial = SimpleNamespace(value=0.123456, user_attrs={RESULT: {
        "epoch": 3, "epochs_run": 5, "settings": settings}})
    search = SimpleNamespace(metric="recall@20", maximize=True, settings={"epochs": 5},
                             space=SimpleNamespace(parameters=[
                                 SimpleNamespace(key=key) for key in keys]))
    study = SimpleNamespace(search=search, ranked=[trial], total=9, trials=[])
    lines = shown(best_table(study), width)
    assert "valid recall@20" in lines[0]
    assert lines[1].split()[0] == "0.1235"
    assert "learning_rate" in lines[0]
    view = SearchView(study, Console(file=io.StringIO(), width=width))
    view.started(SimpleNamespace(place=0, settings=settings))
    assert set(keys) < set(" ".join(shown(view._table(), width)).split())


@WIDTHS
@pytest.mark.parametrize("cutoffs", [[10, 20], [5, 10, 20, 50, 100]])
def test_summary(width, cutoffs):
    values = {f"{name}@{k}": 0.12345 for name in ("recall", "precision") for k in cutoffs}
    record = {"label": LABEL, "dataset": "tiny", "protocol": "clean", "seed": 1, "valid": values,
              "test": values, "test_selected": False, "epoch": 1, "epochs_run": 2,
              "cost": {"peak_gpu_mb": 0, "peak_host_mb": 1, "seconds_total": 1.0,
                       "seconds_per_epoch": None}}
    console = Console(file=io.StringIO(), width=width)
    print_summary(record, Path("runs"), console)
    text = console.file.getvalue()
    assert LABEL in " ".join(text.split())
    head = next(line for line in text.splitlines() if line.startswith("metric"))
    assert head.endswith(f"test @{cutoffs[-1]}")
    assert len(head) <= width
    assert "0.1235" in text or "0.1234" in text
    assert "…" not in text
