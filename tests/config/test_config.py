"""Precedence, checks at the door, and nothing changed elsewhere."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from diffkg_recbole.config import Config
from diffkg_recbole.config.plain_yaml import parse_word
from diffkg_recbole.errors import ConfigurationError, DataError, UserError


def config(tmp_path, text="", command_line=(), model="DiffKG", **values):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return Config(model, "ml-100k", [str(path)], values, command_line)


def test_precedence(tmp_path):
    """RecBole < plugin < files < dict < command line."""
    assert config(tmp_path)["train_batch_size"] == 1024  # plugin's model file; RecBole has 2048
    assert config(tmp_path, model="BPR")["train_batch_size"] == 2048
    text = "train_batch_size: 100\nepochs: 3\nlearning_rate: 1e-4\n"
    assert config(tmp_path, text)["train_batch_size"] == 100
    assert config(tmp_path, text)["learning_rate"] == pytest.approx(1e-4)
    assert config(tmp_path, text, train_batch_size=200)["train_batch_size"] == 200
    last = config(tmp_path, text, ["--train_batch_size=300"], train_batch_size=200)
    assert (last["train_batch_size"], last["epochs"]) == (300, 3)


@pytest.mark.parametrize(("line", "parts"), [
    ("keep_rate: 1.5", ["'keep_rate'", "1.5", "[0, 1]", "c.yaml, line 2"]),
    ("n_hops: one", ["'n_hops'", "'one'", "an integer", "c.yaml, line 2"]),
    ("cl_pattern: 2", ["'cl_pattern'", "2", "one of 0, 1", "c.yaml, line 2"]),
    ("cl_pattern: True", ["'cl_pattern'", "True", "one of 0, 1"]),
    ("triplet_num: 0", ["'triplet_num'", "0", "[1, inf), or -1"]),
    ("steps: .inf", ["'steps'", "inf", "an integer in [1, inf)"]),
    ("kg_in_training: maybe", ["'maybe'", "one of denoised, released"]),
    ("eval_protocol: best", ["'best'", "one of clean, authors, recbole"]),
    ("learning_rate: 0", ["'learning_rate'", "(0, inf)"]),
    ("keep_rte: 0.5", ["'keep_rte'", "did you mean 'keep_rate'", "c.yaml, line 2"]),
    ("denoiser_hidden_sizes: []", ["'denoiser_hidden_sizes'", "a list of integers"]),
    ("valid_metric: Recall@7", ["'valid_metric'", "'Recall@7'", "in topk [10, 20]"]),
])
def test_a_wrong_key_or_value_is_named(tmp_path, line, parts):
    with pytest.raises(ConfigurationError) as error:
        config(tmp_path, f"epochs: 2\n{line}\n")
    for part in parts:
        assert part in str(error.value)


def test_the_flag_is_named_when_it_is_wrong(tmp_path):
    with pytest.raises(ConfigurationError, match=r"'keep_rate': 7 .*\(command line\)"):
        config(tmp_path, "keep_rate: 0.1\n", ["--keep_rate=7"])
    with pytest.raises(UserError, match="argument 'keep_rate=7' is not understood"):
        config(tmp_path, "", ["keep_rate=7"])
    with pytest.raises(UserError, match="--epochs is given twice"):
        config(tmp_path, "", ["--epochs=1", "--epochs=2"])


@pytest.mark.parametrize(("text", "message"), [
    ("a: [1\n", "c.yaml, line 2: is not valid YAML"),
    ("- 1\n- 2\n", "c.yaml, line 1: holds a list"),
    ("epochs: 1\nseed: 2\nepochs: 3\n", r"c.yaml, line 3: key 'epochs' stands twice"),
    ("a: !!python/object/apply:os.system ['true']\n", "is not valid YAML"),
])
def test_a_malformed_file_is_named(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        config(tmp_path, text)


def test_a_missing_file_is_named():
    with pytest.raises(DataError, match=r"absent\.yaml: configuration file not found"):
        Config("BPR", "ml-100k", ["absent.yaml"])


@pytest.mark.parametrize(("name", "near"), [("DifKG", "DiffKG"), ("lightgcn", "LightGCN"),
                                            ("KGATT", "KGAT")])
def test_an_unknown_model_lists_near_names(tmp_path, name, near):
    with pytest.raises(UserError, match=f"no model named '{name}'; near: .*{near}"):
        config(tmp_path, model=name)


@pytest.mark.parametrize(("word", "value"), [
    ("1e-3", 1e-3), ("True", True), ("false", False), ("None", None), ("[1, 2]", [1, 2]),
    ("{'a': 1}", {"a": 1}), ("Recall@10", "Recall@10"), ("[0,inf)", "[0,inf)"),
    ("__import__('os').getcwd()", "__import__('os').getcwd()"),
])
def test_words_are_read_as_literals_and_never_run(word, value):
    assert parse_word(word) == value


def test_the_resolved_configuration_makes_the_same_configuration(tmp_path):
    first = config(tmp_path, "keep_rate: 0.25\n", ["--seed=3"])
    plain = yaml.safe_load(yaml.safe_dump(first.plain()))
    assert Config(config_dict=plain).plain() == first.plain()


def test_shipped_defaults_are_the_declared_ones(tmp_path):
    from diffkg_recbole.model.diffkg import DiffKGSettings

    assert DiffKGSettings.from_config(config(tmp_path)) == DiffKGSettings()


def test_import_and_use_change_nothing_in_other_libraries():
    program = """
import numpy, yaml, torch, pandas, recbole.utils.argument_list as a

def state():
    floats = len(yaml.FullLoader.yaml_implicit_resolvers["+"])
    return set(vars(numpy)), floats, list(a.dataset_arguments)

before = state()
import diffkg_recbole
from diffkg_recbole.quick_start import prepare
from diffkg_recbole.config import Config
prepare(Config("BPR", "ml-100k", config_dict={"state": "error"}))
after = state()
aliases = {"float", "int", "object", "str", "bool8", "float_"}
assert not aliases & (after[0] - before[0])
assert before[1:] == after[1:], "changed"
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert not hasattr(np, "float")
    assert torch.get_default_dtype() == torch.float32
