"""Every file of configs/models holds settings that its model accepts, and says where from."""

from __future__ import annotations

import pytest

from diffkg_recbole.config.config import config_folder
from diffkg_recbole.config.model_keys import ModelKeys
from diffkg_recbole.config.plain_yaml import read_yaml
from diffkg_recbole.tune.space import BUDGET_KEYS, read_space

FOLDER = config_folder() / "models"
FILES = sorted(FOLDER.glob("*/*.yaml"))
SEARCHED = sorted(path.stem for path in (config_folder() / "tuning").glob("*.yaml")
                  if path.stem != "budget")


def name(path):
    return f"{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_model_accepts_every_setting(path):
    keys = ModelKeys.of(path.parent.name)
    problems = [keys.problem(key, value) for key, value in read_yaml(path)[0].items()]
    assert not [problem for problem in problems if problem]
    assert path.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("dataset", ["ml-100k", "movie"])
@pytest.mark.parametrize("model", SEARCHED)
def test_every_model_has_the_settings_of_a_search(model, dataset):
    path = FOLDER / model / f"{dataset}.yaml"
    text = path.read_text(encoding="utf-8")
    assert f"#   diffkg-recbole tune --model={model} --dataset={dataset} --trials=" in text
    assert "on validation data" in text
    settings, space = read_yaml(path)[0], read_space(
        config_folder() / "tuning" / f"{model}.yaml", model)
    assert {parameter.key for parameter in space.parameters} <= set(settings)
    assert not BUDGET_KEYS & set(settings)
