from __future__ import annotations

import json
import os

import pytest

from diffkg_recbole.compare.plan import make_plan
from diffkg_recbole.compare.runs_view import left
from diffkg_recbole.config import Config
from diffkg_recbole.config.yaml_lines import FileProblemsError
from diffkg_recbole.console import duration
from diffkg_recbole.store import RunRecord
from diffkg_recbole.store.file_hashes import hashes
from tests.compare.planned import plan_of, record_as_finished

TWO_MODELS = """\
datasets: tiny
seeds: [1, 2]
settings: {epochs: 3}
models:
  - BPR
  - {model: KGCN, kg: [original, random]}
"""


def test_a_whole_table_with_one_seed_comes_before_the_next_seed(tmp_path):
    plan = plan_of(tmp_path, TWO_MODELS)
    assert [(run.label, run.seed) for run in plan.runs] == [
        ("BPR", 1), ("KGCN", 1), ("KGCN, kg: random", 1),
        ("BPR", 2), ("KGCN", 2), ("KGCN, kg: random", 2)]
    assert {(run.dataset, run.split_seed, run.state) for run in plan.runs} == {
        ("tiny", 2020, "new")}
    assert {run.epochs for run in plan.runs} == {3}


def test_own_settings_go_over_shared_ones_and_these_over_files(tmp_path):
    folder = tmp_path / "models" / "KGCN"
    folder.mkdir(parents=True)
    (folder / "tiny.yaml").write_text("n_iter: 2\nepochs: 9\nlearning_rate: 0.5\n")
    plan = plan_of(tmp_path, TWO_MODELS.replace("kg: [original, random]",
                                                "settings: {learning_rate: 0.25}")
                   + "model_settings: 'models/{model}/{dataset}.yaml'\n")
    kgcn = next(run for run in plan.runs if run.model == "KGCN")
    assert kgcn.settings == {"n_iter": 2, "epochs": 3, "learning_rate": 0.25, "seed": 1,
                             "split_seed": 2020}
    bpr = next(run for run in plan.runs if run.model == "BPR")
    assert bpr.settings == {"epochs": 3, "seed": 1, "split_seed": 2020}


def test_the_flags_make_the_same_configuration_again(tmp_path):
    plan = plan_of(tmp_path, """\
datasets: tiny
protocol: authors
metrics: [recall@20, map@7]
models:
  - model: BPR
    label: my BPR
    settings: {learning_rate: 1e-4, clip_grad_norm: {max_norm: 5.0, norm_type: 2}, shuffle: false,
               transform: null, user_inter_num_interval: "[0,inf)"}
""")
    (run,) = plan.runs
    again = Config(command_line=run.flags)
    for key, value in run.settings.items():
        assert again[key] == value, key
    assert (again["eval_protocol"], again["label"]) == ("authors", "my BPR")
    assert again["topk"] == [7, 10, 20]
    assert "MAP" in again["metrics"]
    assert run.label == "my BPR"


def test_what_is_in_the_store_is_found(tmp_path):
    plan = plan_of(tmp_path, TWO_MODELS)
    record_as_finished(plan, plan.runs[0])
    again = make_plan(plan.comparison, plan.store)
    assert [run.state for run in again.runs] == ["finished"] + ["new"] * 5
    assert again.runs[0].record.test == {"recall@20": 0.5, "ndcg@20": 0.5}
    assert len(again.open) == 5


@pytest.mark.parametrize(("change", "state"), [
    ({"data_files": {"tiny.train.inter": "other"}}, "new"),
    ({"code": {"version": "0.0.0"}}, "new"),
    ({"status": "failed", "error": "x"}, "failed"),
    ({"status": "running"}, "interrupted"),
    ({"data_files": None}, "finished"),
])
def test_other_data_or_code_is_another_run(tmp_path, change, state):
    plan = plan_of(tmp_path, TWO_MODELS)
    path = record_as_finished(plan, plan.runs[0]).folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert make_plan(plan.comparison, plan.store).runs[0].state == state


def test_a_model_that_reads_no_graph_does_not_care_for_it(tmp_path):
    plan = plan_of(tmp_path, TWO_MODELS)
    for run in plan.runs[:2]:
        path = record_as_finished(plan, run).folder / "run.json"
        record = json.loads(path.read_text())
        record["data_files"] = {**run.files, "tiny.kg": "another graph"}
        path.write_text(json.dumps(record))
    bpr, kgcn = make_plan(plan.comparison, plan.store).runs[:2]
    assert (bpr.state, kgcn.state) == ("finished", "new")
    assert "tiny.kg" in kgcn.files


def test_changed_settings_are_another_run_and_the_place_of_the_data_is_not(tmp_path):
    plan = plan_of(tmp_path, TWO_MODELS)
    record = record_as_finished(plan, plan.runs[0])
    config = (record.folder / "config.yaml").read_text()
    (record.folder / "config.yaml").write_text(
        config.replace("show_progress: true", "show_progress: false") + "gpu_id: '7'\n")
    assert make_plan(plan.comparison, plan.store).runs[0].state == "new"  # not as it was left
    written = json.loads((record.folder / "run.json").read_text())
    written["files"].update(hashes([record.folder / "config.yaml"]))
    (record.folder / "run.json").write_text(json.dumps(written))
    assert make_plan(plan.comparison, plan.store).runs[0].state == "finished"
    other = plan_of(tmp_path, TWO_MODELS.replace("epochs: 3", "epochs: 4"))
    assert other.runs[0].state == "new"


def test_time_is_estimated_from_runs_of_the_same_kind(tmp_path):
    plan = plan_of(tmp_path, TWO_MODELS)
    assert left(plan, 1).startswith("time: unknown")
    record_as_finished(plan, plan.runs[0], seconds=10, epochs=3)
    record_as_finished(plan, plan.runs[1], seconds=40, epochs=2)
    plan = make_plan(plan.comparison, plan.store)
    # open: BPR's second seed as its first, 10 s; KGCN's too, 40 s; KGCN on the random graph twice:
    # 20 s an epoch, and 2 epochs, after which KGCN stopped early
    assert [run.seconds for run in plan.open] == [40.0, 10.0, 40.0, 40.0]
    assert plan.seconds_left(1) == (130.0, 0)
    assert plan.seconds_left(4) == (40.0, 0)
    assert left(plan, 1) == "time: about 2 min 10 s"
    wider = plan_of(tmp_path, TWO_MODELS + "  - Pop\n")
    assert left(wider, 2) == "time: about 1 min 05 s, and 2 runs of unknown length"
    for run in wider.runs:
        if run.state == "new":
            record_as_finished(wider, run)
    assert left(make_plan(wider.comparison, wider.store), 1) == "nothing is left to run"


def test_more_epochs_take_longer_unless_the_model_stops_early(tmp_path):
    plan = plan_of(tmp_path, "datasets: tiny\nsettings: {epochs: 4}\nmodels: [BPR, Pop]\n")
    record_as_finished(plan, plan.runs[0], seconds=8, epochs=4)  # all it might: 2 s an epoch
    record_as_finished(plan, plan.runs[1], seconds=3, epochs=1)
    longer = plan_of(tmp_path, "datasets: tiny\nsettings: {epochs: 100}\nmodels: [BPR, Pop]\n")
    assert [run.seconds for run in longer.runs] == [200.0, 3.0]


@pytest.mark.parametrize(("seconds", "words"), [
    (None, "unknown"), (0.4, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")])
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(("text", "line", "said"), [
    ("datasets:\n - nowhere\nmodels: BPR\n", 2, "dataset 'nowhere' is not there"),
    ("datasets: tiny\nmodels:\n - BPR\n - BPR\n", 4,
     "this row and that of line 3 are both named 'BPR'"),
    ("datasets: tiny\nmodels:\n - {model: BPR, settings: {valid_metric: Recall@77}}\n", 3,
     "BPR on tiny: configuration key 'valid_metric'"),
])
def test_problems_that_show_when_rows_are_resolved(tmp_path, text, line, said):
    with pytest.raises(FileProblemsError) as caught:
        plan_of(tmp_path, text)
    ((found, message),) = caught.value.problems
    assert (found, said in message) == (line, True), message


def test_all_of_them_are_reported_at_once(tmp_path):
    with pytest.raises(FileProblemsError) as caught:
        plan_of(tmp_path, "datasets: [tiny, nowhere]\nmodels:\n - BPR\n - BPR\n")
    assert [line for line, _ in caught.value.problems] == [1, 4]


def test_a_knowledge_model_needs_a_graph(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "bare"
    folder.mkdir(parents=True)
    (folder / "bare.inter").write_text("user_id:token\titem_id:token\na\tb\n")
    text = f"datasets: bare\nsettings: {{data_path: {tmp_path / 'data'}}}\nmodels:\n - KGCN\n"
    expected = r"line 4: KGCN is a knowledge model, but .*bare\.kg"
    with pytest.raises(FileProblemsError, match=expected):
        plan_of(tmp_path, text)


def test_planning_leaves_the_environment_alone(tmp_path):
    before = dict(os.environ)
    plan_of(tmp_path, TWO_MODELS)
    assert dict(os.environ) == before


def test_corrupt_folders_do_not_stop_planning(tmp_path):
    plan = plan_of(tmp_path, TWO_MODELS)
    record = record_as_finished(plan, plan.runs[0])
    (record.folder / "config.yaml").write_text("a: [")
    (plan.store.root / "broken").mkdir()
    assert make_plan(plan.comparison, plan.store).runs[0].state == "new"
    assert RunRecord(record.folder).finished
