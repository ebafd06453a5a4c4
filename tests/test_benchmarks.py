"""The benchmarks run, their pairs agree, and wrong forms are found out. Times are not tested."""

from __future__ import annotations

import itertools
import json

import pytest
import torch

from benchmarks import __main__ as command
from benchmarks import child, growth, report
from benchmarks.clock import Disagreement, Pair, Work, compare, measure
from benchmarks.phases import PHASES, Bench
from benchmarks.problems import Problem, Sizes, generate
from diffkg_recbole.model.diffkg import DiffKGSettings

SIZES = Sizes(users=50, items=30, train=700, test=150, entities=80, relations=4, triples=240)


@pytest.fixture(autouse=True)
def same_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def bench():
    torch.manual_seed(0)
    settings = DiffKGSettings(denoiser_hidden_sizes=[8], embedding_size=16, n_hops=2,
                              diffusion_batch_size=32, rebuild_k=2)
    return Bench(Problem.of(generate("tiny", SIZES)), settings, None)


@pytest.mark.parametrize("phase", PHASES)
def test_pairs_agree(bench, phase):
    row = measure(PHASES[phase](bench), repeats=1)
    assert 0 <= row["difference"] < 1e-3
    assert row["runs"] == 1
    assert all(value > 0 for form in ("plain", "ours") for value in row[form].values())


@pytest.mark.parametrize(
    ("phase", "name", "factor"),
    [("attention", "attention", 1.01), ("propagation", "propagation", 1.01),
     ("contrast", "info_nce", 1.01), ("diffusion", "diffusion_loss", 1.01),
     ("step", "bpr", 1.01), ("generation", "generate", -1.0)],
)
def test_two_forms_that_differ_are_found_out(bench, phase, name, factor, monkeypatch):
    from benchmarks import reference

    right = getattr(reference, name)
    monkeypatch.setattr(reference, name, lambda *arguments: right(*arguments) * factor)
    with pytest.raises(Disagreement, match=phase):
        measure(PHASES[phase](bench), repeats=1)


def test_a_wrong_graph_is_found_out(bench, monkeypatch):
    from benchmarks import reference

    right = reference.rebuild
    monkeypatch.setattr(reference, "rebuild", lambda *arguments: right(*arguments)[:-1])
    with pytest.raises(Disagreement, match="rebuilding"):
        measure(PHASES["rebuilding"](bench), repeats=1)


def test_compare_is_relative_to_the_largest_entry():
    plain = torch.tensor([100.0, 0.0])
    assert compare("x", plain, plain + 0.5, 0.01) == pytest.approx(0.005)
    with pytest.raises(Disagreement, match="differ by"):
        compare("x", plain, plain + 5, 0.01)
    with pytest.raises(Disagreement, match="shapes"):
        compare("x", plain, plain[:1], 1.0)
    with pytest.raises(Disagreement):
        compare("x", plain, torch.tensor([float("nan"), 0.0]), 1.0)


def test_forms_are_timed_in_turns():
    calls = []
    pair = Pair("p", "d", lambda: calls.append("plain"), lambda: calls.append("ours"),
                lambda: 0.0, Work(2e9, 1e9))
    row = measure(pair, repeats=3)
    samples = [name for name, _ in itertools.groupby(calls)]
    assert samples == ["plain", "ours"] * 4  # once to warm up
    assert calls[:2] == ["plain", "ours"]
    assert len(calls) > 100  # so short calls are repeated within a sample
    assert report.floor_of(row, {"sgemm": 1e9, "copy": 1e9}) == 2.0


def test_quick_mode_prints_tables_and_writes_results(tmp_path, capsys):
    arguments = ["--quick", "--groups", "phases", "pipeline", "epochs", "--repeats", "1",
                 "--threads", "1", "--output", str(tmp_path)]
    assert command.main(arguments) == 0
    printed = capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text())
    assert {row["phase"] for row in results["phases"]} >= {"attention", "rebuilding"}
    assert results["epochs"][0]["difference"] < 0.02
    for phase in ("propagation", "diffusion", "loading", "evaluation", "whole epoch"):
        assert phase in printed
    assert "| whole epoch" in (tmp_path / "tables.md").read_text()
    assert results["machine"]["torch"] == torch.__version__


def test_growth_measures_in_a_process_of_its_own():
    stages = child.spawn("benchmarks.growth", ["--entities", "200", "--threads", "1"],
                         lambda text: None)
    assert [row["stage"] for row in stages][:2] == ["graph", "attention"]
    assert all(row["seconds"] > 0 and row["memory"] >= 0 for row in stages)


def test_a_failed_process_is_reported():
    stages = child.spawn("benchmarks.growth", ["--entities", "none", "--threads", "1"],
                         lambda text: None)
    assert stages[-1]["error"].startswith("exit status 2")


def test_fitted_exponents_and_their_plot(tmp_path):
    rows = [{"entities": n, "stage": "square", "seconds": 1e-9 * n**2, "memory": 1e4 * n}
            for n in (1000, 2000, 8000)]
    slopes = growth.exponents(rows)
    assert slopes["square"] == pytest.approx({"seconds": 2.0, "memory": 1.0})
    table = report.growth_table(rows, slopes)
    assert table[1][-2:] == ["N^2.00", "N^1.00"]
    pytest.importorskip("matplotlib")
    growth.plot(rows, tmp_path / "growth.svg")
    assert (tmp_path / "growth.svg").read_text().lstrip().startswith("<?xml")


def test_generated_data_have_the_sizes_asked_for():
    data = generate("tiny", SIZES)
    assert (data.n_users, data.n_items, data.n_entities) == (50, 30, 80)
    assert len(data.triples) == 240
    assert len(data.train) + len(data.test) == 850
    assert len(data.train) == pytest.approx(700, abs=60)
    assert len(set(map(tuple, data.train)) & set(map(tuple, data.test))) == 0
    assert data.n_relations == 4
