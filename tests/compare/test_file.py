from __future__ import annotations

from pathlib import Path

import pytest

from diffkg_recbole.compare.file import read_comparison
from diffkg_recbole.config.yaml_lines import FileProblemsError
from diffkg_recbole.errors import DataError


def write(folder: Path, text: str) -> Path:
    path = folder / "comparison.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> list[tuple[int, str]]:
    with pytest.raises(FileProblemsError) as caught:
        read_comparison(write(folder, text))
    return caught.value.problems


def test_a_complete_file(tmp_path):
    comparison = read_comparison(write(tmp_path, """\
title: Does the graph help?
datasets: [tiny, movie]
protocol: authors
seeds: [1, 2, 3]
split_seeds: [7]
metrics: [Recall@20, ndcg@5]
model_settings: models/{model}/{dataset}.yaml
settings: {epochs: 5, embedding_size: 16}
models:
  - BPR
  - model: KGCN
    kg: [original, none]
    settings: {learning_rate: 1e-3}
    variants:
      - {n_iter: 2}
  - {model: LightGCN, label: one layer, settings: {n_layers: 1}}
"""))
    assert comparison.title == "Does the graph help?"
    assert comparison.datasets == {"tiny": 2, "movie": 2}
    assert (comparison.protocol, comparison.seeds, comparison.split_seeds) == (
        "authors", (1, 2, 3), (7,))
    assert comparison.metrics == ("recall@20", "ndcg@5")
    assert comparison.settings == {"epochs": 5, "embedding_size": 16}
    assert [(row.model, row.settings, row.label, row.line) for row in comparison.rows] == [
        ("BPR", {}, None, 10),
        ("KGCN", {"learning_rate": 0.001, "kg": "original"}, None, 11),
        ("KGCN", {"learning_rate": 0.001, "kg": "none"}, None, 11),
        ("KGCN", {"learning_rate": 0.001, "kg": "original", "n_iter": 2}, None, 15),
        ("LightGCN", {"n_layers": 1}, "one layer", 16),
    ]


def test_a_minimal_file_has_the_documented_defaults(tmp_path):
    comparison = read_comparison(write(tmp_path, "datasets: tiny\nmodels: BPR\n"))
    assert (comparison.protocol, comparison.seeds, comparison.split_seeds, comparison.metrics) == (
        "clean", (2020,), (2020,), ("recall@20", "ndcg@20"))


def test_settings_files_are_found_beside_the_comparison(tmp_path):
    folder = tmp_path / "models" / "BPR"
    folder.mkdir(parents=True)
    (folder / "tiny.yaml").write_text("epochs: 3\n")
    comparison = read_comparison(write(tmp_path, """\
datasets: tiny
models: BPR
model_settings: "models/{model}/{dataset}.yaml"
"""))
    assert comparison.settings_file("BPR", "tiny") == folder / "tiny.yaml"
    assert comparison.settings_file("BPR", "movie") is None


def test_every_problem_is_reported_at_once_with_its_line(tmp_path):
    found = problems(tmp_path, """\
datasets: [tiny, tiny]
protocol: cleen
seeds: [1, 1, -2, x]
metrics: [recal@20, ndcg, recall@0]
sedings: {}
settings:
  epochs: -1
  learning_rat: 0.1
models:
  - BRP
  - model: BPR
    kg: none
    lable: x
  - model: KGCN
    kg: [orignal, none, none]
    settings: {seed: 3, n_itr: 2}
  - label: nothing
""")
    expected = [
        (1, "dataset 'tiny' stands twice"),
        (2, "there is no protocol 'cleen' (did you mean 'clean'?)"),
        (3, "seeds: 1 stands twice"),
        (3, "seeds: -2 is no seed"),
        (3, "seeds: 'x' is no seed"),
        (4, "there is no metric 'recal@20' (did you mean 'recall'?)"),
        (4, "metric 'ndcg' has no cut-off"),
        (4, "metric 'recall@0' has no cut-off"),
        (5, "'sedings' is no key of a comparison (did you mean "),
        (7, "setting 'epochs': -1 is not allowed; expected an integer in [0, inf)"),
        (8, "has no setting 'learning_rat' (did you mean 'learning_rate'"),
        (10, "there is no model named 'BRP'; near: BPR"),
        (12, "kg: BPR reads no graph"),
        (13, "'lable' is no key of a model (did you mean 'label'"),
        (15, "kg: there is no graph control 'orignal'"),
        (15, "kg: 'none' stands twice"),
        (16, "'seed' is no setting of a row; write it under 'seeds'"),
        (16, "KGCN has no setting 'n_itr' (did you mean 'n_iter'"),
        (17, "'model' is missing"),
    ]
    for line, text in expected:
        assert any(place == line and text in message for place, message in found), (line, text)
    assert len(found) == len(expected)
    assert [line for line, _ in found] == sorted(line for line, _ in found)


def test_the_message_names_the_file_and_every_line(tmp_path):
    path = write(tmp_path, "datasets: []\nprotocol: x\nmodels: [BPR]\n")
    with pytest.raises(FileProblemsError) as caught:
        read_comparison(path)
    first, *rest = str(caught.value).splitlines()
    assert first == f"{path}: 2 problems; nothing was run"
    assert rest[0].startswith("  line 1: 'datasets' names no dataset")
    assert rest[1].startswith("  line 2: there is no protocol 'x'")


@pytest.mark.parametrize(("text", "line", "said"), [
    ("models: [BPR]\n", 1, "'datasets' is missing"),
    ("datasets: tiny\n", 1, "'models' is missing"),
    ("datasets: tiny\nmodels: []\n", 2, "'models' names no model"),
    ("datasets: tiny\nmodels: [BPR]\nmetrics: []\n", 3, "'metrics' names no metric"),
    ("datasets: tiny\nmodels: [BPR]\nseeds: []\n", 3, "'seeds' names no seed"),
    ("datasets: tiny\nmodels: [BPR]\nseeds: [true]\n", 3, "True is no seed"),
    ("datasets: tiny\nmodels: [BPR]\nseeds: [4294967296]\n", 3, "is no seed"),
    ("datasets: [3]\nmodels: [BPR]\n", 1, "a dataset's name: 3 is no text"),
    ("datasets: tiny\nmodels: [[BPR]]\n", 2, "is no text"),
    ("datasets: tiny\nmodels: [BPR]\nsettings: [epochs]\n", 3, "expected 'key: value' pairs"),
    ("datasets: tiny\nmodels: [BPR]\nmodels: [Pop]\n", 3, "key 'models' stands twice"),
    ("datasets: tiny\nmodels: [BPR]\nmodel_settings: 'a/{dataset}'\n", 3, "same file for every"),
    ("datasets: tiny\nmodels: [BPR]\nmodel_settings: 'a/{name}'\n", 3, "{model} and {dataset}"),
    ("datasets: tiny\nmodels: [BPR]\nsettings: {kg: none}\n", 3, "write it under 'kg'"),
    ("datasets: tiny\nmodels:\n- {model: KGCN, label: x, kg: [none, random]}\n", 3,
     "a label is for one row"),
    ("datasets: tiny\nmodels:\n- {model: KGCN, variants: [{}]}\n", 3,
     "a variant changes at least one setting"),
])
def test_single_problems(tmp_path, text, line, said):
    ((found, message),) = problems(tmp_path, text)
    assert (found, said in message) == (line, True), message


def test_a_shared_setting_is_for_the_models_that_have_it(tmp_path):
    shared = "datasets: tiny\nsettings: {n_layers: 2}\nmodels: [Pop, LightGCN]\n"
    assert read_comparison(write(tmp_path, shared)).settings == {"n_layers": 2}
    assert "has no setting 'n_layers'" in problems(
        tmp_path, shared.replace("[Pop, LightGCN]", "[Pop]"))[0][1]


@pytest.mark.parametrize(("content", "said"), [
    (None, "comparison file not found"),
    (b"datasets: [tiny", "is not valid YAML"),
    (b"- BPR", "is no comparison"),
    (b"", "is no comparison"),
    (b"\xff\xfe\x00", "cannot be read"),
])
def test_files_that_are_no_comparison(tmp_path, content, said):
    path = tmp_path / "comparison.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_comparison(path)


def test_a_tag_that_would_make_an_object_is_refused(tmp_path):
    path = write(tmp_path, "title: !!python/object/apply:os.getcwd []\ndatasets: a\nmodels: BPR\n")
    with pytest.raises(DataError, match="not valid YAML"):
        read_comparison(path)
