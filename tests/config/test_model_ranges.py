"""Every setting of every model has a range, which is checked before data are read."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from diffkg_recbole.config import Config
from diffkg_recbole.config.config import PROPERTIES
from diffkg_recbole.config.known_keys import RECBOLE_PROPERTIES
from diffkg_recbole.config.plain_yaml import read_yaml
from diffkg_recbole.errors import ConfigurationError, UserError
from diffkg_recbole.model import get_model
from diffkg_recbole.model.recbole_settings import SETTINGS, settings_of

DATA = {"data_path": str(Path(__file__).parents[2] / "atomic_data")}
OF_NO_ONE = {"use_pretrain", "mf_pretrain_path", "mlp_pretrain_path", "time-aware"}
WRONG = {
    "embedding_size": [0, -1, 1.5, "x", None, True, 10**9], "n_layers": [0, -1, 1.5, 1000],
    "reg_weight": [-1, float("nan"), float("inf"), "x", None], "dropout_prob": [1.5, -0.1, 1],
    "mess_dropout": [1.5, -1], "node_dropout": [2], "temperature": [0, -1, float("nan")],
    "layers": [[], [0], [64, -1], 64, "x", [1.5]], "mlp_hidden_size": [[], [0], 64],
    "n_hop": [0], "n_memory": [0, -5], "k": [0], "steps": [0], "n_factors": [0],
    "neighbor_sample_size": [0], "aggregator": ["mean"], "knn_method": ["both"], "margin": [-1],
    "reg_weights": [[1], [1, -1], 0.1, [1, float("nan")]], "ssl_tau": [0], "drop_ratio": [1],
    "mlp_act_func": ["swish"], "l1_ratio": [2], "positive_only": ["yes", 1], "kge_interval": [0],
    "gcn_output_dim": [0], "kg_embedding_size": [0, "x"], "anneal_cap": [-1], "n_iter": [0, -1],
    "latent_dimension": [0], "context_hops": [0], "noise_schedule": ["quadratic"],
}
CASES = [(model, key, value) for model, declared in SETTINGS.items() for key in declared.rules()
         for value in WRONG.get(key, [])]


def test_there_are_cases_enough():
    assert len(CASES) >= 150


@pytest.mark.parametrize(("model", "key", "value"), CASES)
def test_a_wrong_setting_is_refused(model, key, value):
    with pytest.raises(ConfigurationError, match=f"'{key}'") as error:
        Config(model, "tiny", None, {**DATA, key: value})
    assert "expected" in str(error.value)


def test_ease_needs_a_ridge():
    with pytest.raises(ConfigurationError, match="'reg_weight'"):
        Config("EASE", "tiny", None, {**DATA, "reg_weight": 0})


@pytest.mark.parametrize(("model", "values"), [
    ("DiffRec", {"noise_min": 0.5, "noise_max": 0.1}), ("DiffRec", {"sampling_steps": 9}),
    ("DiffRec", {"w_min": 2}), ("KTUP", {"train_rec_step": 0, "train_kg_step": 0}),
])
def test_settings_that_contradict_each_other(model, values):
    with pytest.raises(UserError, match=next(iter(values))):
        Config(model, "tiny", None, {**DATA, **values})


@pytest.mark.parametrize("model", SETTINGS)
def test_the_declared_keys_and_defaults_are_those_of_the_property_files(model):
    stock, own = (read_yaml(folder / "model" / f"{model}.yaml")[0]
                  if (folder / "model" / f"{model}.yaml").is_file() else {}
                  for folder in (RECBOLE_PROPERTIES, PROPERTIES))
    declared = {field.name: field.default if field.default is not MISSING
                else field.default_factory() for field in fields(SETTINGS[model])}
    assert set(stock) - OF_NO_ONE == set(declared)
    assert {key: stock[key] for key in declared} == declared
    Config(model, "tiny", None, {**DATA, **own})


def test_every_model_declares_its_settings():
    for path in sorted((Path(__file__).parents[2] / "configs" / "tuning").glob("*.yaml")):
        if path.stem != "budget":
            assert settings_of(path.stem, get_model(path.stem)) is not None, path.stem
