"""Every comparison file that the package ships is right, whatever data lie on this machine."""

from __future__ import annotations

import pytest

from diffkg_recbole.compare.file import read_comparison
from diffkg_recbole.compare.plan import make_plan
from diffkg_recbole.config.config import config_folder
from diffkg_recbole.config.model_keys import ModelKeys
from diffkg_recbole.store import RunStore

FOLDER = config_folder() / "comparisons"
FILES = sorted(FOLDER.glob("*.yaml"))


def labels(name: str, tmp_path) -> list[str]:
    plan = make_plan(read_comparison(FOLDER / f"{name}.yaml"), RunStore(tmp_path))
    return list(dict.fromkeys(run.label for run in plan.runs))


def test_they_are_there():
    assert {"quick", "paper-table", "does-the-graph-help", "does-diffusion-help"} <= {
        path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_has_no_problem_and_says_what_it_is(path):
    comparison = read_comparison(path)
    assert comparison.title
    assert comparison.rows
    assert path.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("path", [path for path in FILES if path.stem != "paper-table"],
                         ids=lambda path: path.stem)
def test_those_on_recboles_own_sample_can_be_planned_anywhere(path, tmp_path):
    comparison = read_comparison(path)
    plan = make_plan(comparison, RunStore(tmp_path))
    assert len(plan.runs) == len(comparison.rows) * len(comparison.seeds)


def test_quick_is_five_models_and_one_seed():
    comparison = read_comparison(FOLDER / "quick.yaml")
    assert (len(comparison.rows), len(comparison.seeds)) == (5, 1)


def test_paper_table_has_the_papers_models_and_data_sets():
    comparison = read_comparison(FOLDER / "paper-table.yaml")
    assert list(comparison.datasets) == ["last-fm", "mind", "alibaba"]
    assert [row.model for row in comparison.rows] == [
        "BPR", "NeuMF", "GCMC", "LightGCN", "SGL", "CKE", "KTUP", "KGNNLS", "KGCN", "KGAT",
        "KGIN", "MCCLK", "KGCL", "DiffKG"]


FAST = {"CFKG", "CKE", "DiffKG", "KGAT", "KGCL", "KGCN", "KGIN"}


@pytest.mark.parametrize(("name", "models"), [
    ("does-the-graph-help", FAST),
    ("every-model-and-graph", FAST | {"KGNNLS", "KTUP", "MCCLK", "MKR", "RippleNet"}),
])
def test_every_knowledge_model_meets_every_graph(tmp_path, name, models):
    comparison = read_comparison(FOLDER / f"{name}.yaml")
    assert len(comparison.seeds) >= 3
    graphs: dict[str, set[str]] = {}
    for row in comparison.rows:
        if ModelKeys.of(row.model).reads_graph:
            graphs.setdefault(row.model, set()).add(row.settings["kg"])
    assert set(graphs) == models
    assert all(seen == {"original", "none", "random"} for seen in graphs.values())
    assert "KGAT, kg: random" in labels(name, tmp_path)


def test_every_part_of_diffkg_is_taken_away_once(tmp_path):
    assert len(read_comparison(FOLDER / "does-diffusion-help.yaml").seeds) >= 3
    assert set(labels("does-diffusion-help", tmp_path)) >= {
        "DiffKG", "DiffKG, w/o diffusion", "DiffKG, random rebuilt graph",
        "DiffKG, w/o contrastive loss", "DiffKG, w/o CKGC", "DiffKG, released"}
