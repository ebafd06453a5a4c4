"""Comparison files and tuning spaces that are wrong end in one refusal with file and line."""

from __future__ import annotations

import pytest

from diffkg_recbole.compare.file import read_comparison
from diffkg_recbole.config.yaml_lines import FileProblemsError
from diffkg_recbole.errors import DataError
from diffkg_recbole.tune.space import read_space

GOOD = {"datasets": "[tiny]", "models": "[BPR]"}
WRONG_VALUES = {
    "title": ["3", "[a]", "{a: b}", "''", "null"],
    "datasets": ["3", "[]", "[[tiny]]", "{tiny: 1}", "[tiny, tiny]", "null", "['']"],
    "protocol": ["cleen", "3", "[clean]", "null", "{clean: 1}"],
    "seeds": ["three", "3", "[1.5]", "[-1]", "[1, 1]", "[true]", "{a: 1}", "[]", "[4294967296]",
              "[.nan]", "['1']"],
    "split_seeds": ["x", "2", "[null]", "[[1]]", "[2.0]"],
    "metrics": ["recall", "[recall@0]", "[recal@20]", "[]", "[20]", "{recall: 20}", "[recall@x]",
                "[recall@-1]", "[recall@1.5]"],
    "model_settings": ["'{model:>1000000000}'", "'{model!r}'", "'{}'", "'{0}'", "'{model'",
                       "'model}'", "'{model.__class__}'", "3", "'{dataset}'", "[a]", "''"],
    "settings": ["[epochs]", "3", "{epochs: -1}", "{epohs: 1}", "{topk: 0}", "{seed: 1}",
                 "{eval_args: {splits: 1}}", "{model: Pop}", "{learning_rate: .inf}"],
    "models": ["[]", "3", "[BPRR]", "[[BPR]]", "[{label: x}]", "[{model: 3}]",
               "[{model: BPR, setings: {}}]", "[{model: BPR, settings: [1]}]",
               "[{model: BPR, kg: none}]", "[{model: KGAT, kg: nothing}]",
               "[{model: KGAT, kg: [none, none]}]", "[{model: BPR, label: 3}]",
               "[{model: BPR, variants: [{}]}]", "[{model: BPR, variants: [3]}]",
               "[{model: BPR, settings: {embeding_size: 3}}]"],
    "modles": ["[BPR]"], "seed": ["1"],
}


@pytest.mark.parametrize(("key", "value"), [
    (key, value) for key, values in WRONG_VALUES.items() for value in values])
def test_a_wrong_value_of_a_comparison(tmp_path, key, value):
    entries = {**GOOD, key: value}
    path = tmp_path / "comparison.yaml"
    path.write_text("".join(f"{name}: {text}\n" for name, text in entries.items()))
    line = list(entries).index(key) + 1
    with pytest.raises(FileProblemsError) as error:
        read_comparison(path)
    assert line in [found for found, _ in error.value.problems]
    assert len(str(error.value)) < 1500


@pytest.mark.parametrize("text", [
    "datasets: &a [tiny]\nmodels: *a\n", "<<: {datasets: tiny}\nmodels: BPR\n",
    "datasets: tiny\nmodels: [BPR]\n1: 2\n", "datasets: 2024-13-45\nmodels: [BPR]\n",
    "datasets: !!int abc\nmodels: BPR\n", "[" * 3000, "datasets: tiny\nmodels: " + "[" * 3000,
    "datasets: tiny\nmodels: !!python/name:os.system\n", "datasets: tiny\n models: BPR\n",
    "\x00", "datasets: tiny\nmodels: {BPR\n", "3\n", "- a\n", "null\n", "text\n", "# nothing\n",
    "datasets: tiny\nmodels: BPR\ntitle: " + "x" * 1_000_001,
])
def test_what_is_no_comparison(tmp_path, text):
    path = tmp_path / "comparison.yaml"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        read_comparison(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [
    "0.1", "[0.1, 0.2]", "null", "{}", "{log: [0, 1]}", "{log: [1]}", "{log: [2, 1]}", "{log: 1}",
    "{log: [a, b]}", "{log: [.nan, 1]}", "{log: [1, .inf]}", "{log: [1, 2, 3]}", "{log: [-1, 1]}",
    "{uniform: [2, 1]}", "{uniform: [1, 1]}", "{uniform: [.inf, 1]}", "{uniform: {a: 1}}",
    "{uniform: [true, 2]}", "{int: [1.5, 2]}", "{int: [2, 1]}", "{int: ['1', 2]}", "{int: []}",
    "{choice: []}", "{choice: 3}", "{choice: [1, 1]}", "{choice: {a: 1}}", "{chioce: [1, 2]}",
    "{log: [0.1, 0.2], uniform: [0, 1]}", "{choice: [-1]}", "{choice: [text]}",
    "{choice: [[1, 2]]}", "{choice: [null]}", "{choice: [.nan]}", "{int: [1, 1e400]}",
    "{log: [1e-400, 1]}", "{uniform: [-1, 1]}",
])
def test_a_wrong_range_of_a_space(tmp_path, value):
    path = tmp_path / "space.yaml"
    path.write_text(f"# a space\nlearning_rate: {value}\n")
    with pytest.raises(FileProblemsError) as error:
        read_space(path, "BPR")
    assert [line for line, _ in error.value.problems] == [2]


@pytest.mark.parametrize("text", [
    "learning_rate: &a {log: [1, 2]}\nb: *a\n", "<<: {a: 1}\n", "1: {log: [1, 2]}\n", "- a\n",
    "3\n",
    "learning_rate: {log: [1, 2\n", "learning_rate: !!int abc\n", "x: " + "[" * 100 + "]" * 100,
    "learning_rate: {log: [2024-13-45, 2]}\n", "\x1b\n", "learning_rate: !a {log: [1, 2]}\n",
])
def test_what_is_no_space(tmp_path, text):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        read_space(path, "BPR")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["learning_rte", "seed", "metrics", "label", "data_path"])
def test_a_key_that_cannot_be_searched(tmp_path, key):
    path = tmp_path / "space.yaml"
    path.write_text(f"{key}: {{choice: [1, 2]}}\n")
    with pytest.raises(FileProblemsError, match=key):
        read_space(path, "BPR")


def test_a_count_of_seeds_is_asked_about_and_a_seed_is_taken(tmp_path):
    path = tmp_path / "comparison.yaml"
    path.write_text("datasets: tiny\nmodels: BPR\nseeds: 3\n")
    with pytest.raises(FileProblemsError, match=r"write seeds: \[3\], or seeds: \[1, 2, 3\]"):
        read_comparison(path)
    path.write_text("datasets: tiny\nmodels: BPR\nseeds: 2021\n")
    assert read_comparison(path).seeds == (2021,)
