"""Search spaces: what is read, what is refused, and the ones that are shipped."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from diffkg_recbole.config import Config
from diffkg_recbole.config.config import config_folder
from diffkg_recbole.config.known_keys import keys_read_by
from diffkg_recbole.config.yaml_lines import FileProblemsError
from diffkg_recbole.errors import UserError
from diffkg_recbole.model import get_model
from diffkg_recbole.tune.budget import read_budget
from diffkg_recbole.tune.space import Parameter, Space, read_space

TUNING = config_folder() / "tuning"
MODELS = (
    "BPR", "NeuMF", "GCMC", "LightGCN", "SGL", "CKE", "CFKG", "KTUP", "KGNNLS", "KGCN", "KGAT",
    "KGIN", "MCCLK", "RippleNet", "MKR", "Pop", "ItemKNN", "EASE", "SLIMElastic", "MultiVAE",
    "DiffRec", "DiffKG", "KGCL",
)

SHIPPED = sorted({path.stem for path in TUNING.glob("*.yaml")} - {"budget"})


def space_of(folder: Path, text: str, model: str = "KGAT") -> Space:
    path = folder / "space.yaml"
    path.write_text(text, encoding="utf-8")
    return read_space(path, model)


def test_every_kind_of_range_is_read(tmp_path):
    space = space_of(tmp_path, """\
learning_rate: {log: [1e-4, 1e-2]}
mess_dropout: {uniform: [0, 0.5]}
kg_embedding_size: {log_int: [8, 64]}
train_batch_size: {int: [100, 200]}
layers: {choice: [[64], [64, 32]]}
""")
    assert space.distributions == {
        "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "mess_dropout": FloatDistribution(0, 0.5),
        "kg_embedding_size": IntDistribution(8, 64, log=True),
        "train_batch_size": IntDistribution(100, 200),
        "layers": CategoricalDistribution(["[64]", "[64,32]"]),
    }
    drawn = {"learning_rate": 0.00123456, "mess_dropout": 0.33333, "kg_embedding_size": 9,
             "train_batch_size": 150, "layers": "[64,32]"}
    settings = space.settings(drawn)
    assert settings == {"learning_rate": 0.001235, "mess_dropout": 0.3333, "kg_embedding_size": 9,
                        "train_batch_size": 150, "layers": [64, 32]}
    assert space.settings(space.drawn(settings)) == settings


def test_a_rounded_value_stays_in_its_range():
    parameter = Parameter("learning_rate", "uniform", (0.000123456, 0.000123457))
    assert parameter.setting(0.0001234563) == 0.000123457  # not 0.0001235
    assert Parameter("x", "uniform", (0.12345, 0.5)).setting(0.12346) == 0.1235


def test_defaults_outside_the_space_are_left_to_the_search(tmp_path):
    space = space_of(tmp_path, "layers: {choice: [[64], [32]]}\nreg_weight: {log: [1e-3, 1]}\n"
                               "mess_dropout: {uniform: [0.1, 0.5]}\n")
    defaults = {"layers": [64], "reg_weight": 1e-5, "mess_dropout": 0.1}
    assert space.drawn(defaults) == {"layers": "[64]", "mess_dropout": 0.1}


def test_a_space_of_few_points_is_listed_and_a_larger_one_is_not():
    layers, sizes = Parameter("n_layers", "int", (1, 2)), Parameter("k", "choice", (5, 7, 9))
    points = Space((layers, sizes)).points(6)
    assert points is not None
    assert [tuple(point.values()) for point in points] == [
        (1, 5), (1, 7), (1, 9), (2, 5), (2, 7), (2, 9)]
    assert Space((layers, sizes)).points(5) is None
    assert Space((layers, Parameter("x", "uniform", (0, 1)))).points(100) is None
    assert Space().points(1) == [{}]


@pytest.mark.parametrize(("kind", "values", "setting", "end"), [
    ("log", (1e-4, 1e-2), 9.9e-3, True),
    ("log", (1e-4, 1e-2), 1e-3, False),
    ("log", (1e-4, 1e-2), 1.01e-4, True),
    ("uniform", (0.0, 0.5), 0.0, False),  # there is nothing below
    ("uniform", (0.0, 0.5), 0.499, True),
    ("int", (1, 4), 4, True),
    ("int", (1, 4), 3, False),
    ("choice", (1, 4), 4, False),
])
def test_values_at_the_end_of_a_range_are_told(kind, values, setting, end):
    assert Parameter("x", kind, values).at_an_end(setting) is end


def test_every_problem_is_reported_at_once_with_its_line(tmp_path):
    with pytest.raises(FileProblemsError) as caught:
        space_of(tmp_path, """\
learning_rat: {log: [1e-4, 1e-2]}
learning_rate: {log: [0, 1e-2]}
layers: {chioce: [[64]]}
mess_dropout: 0.1
reg_weight: {uniform: [2, 1]}
kg_embedding_size: {int: [8, 64.5]}
embedding_size: {choice: []}
aggregator_type: {choice: [bi, bi]}
epochs: {int: [10, 20]}
seed: {int: [1, 5]}
show_progress: {choice: [True]}
train_batch_size: {choice: [0, 512]}
weight_decay: {uniform: [a, b]}
""")
    expected = [
        (1, "KGAT has no setting 'learning_rat' (did you mean 'learning_rate'"),
        (2, "learning_rate: log needs ends above 0, got 0"),
        (3, "layers: there is no kind of range 'chioce' (did you mean 'choice'?)"),
        (4, "mess_dropout: 0.1 is no range; expected one of choice, uniform, log, int, log_int"),
        (5, "reg_weight: the lower end 2 is not below the upper end 1"),
        (6, "kg_embedding_size: [8, 64.5] is no range; expected two whole numbers"),
        (7, "embedding_size: names no value"),
        (8, "aggregator_type: 'bi' stands twice"),
        (9, "'epochs' belongs to the budget, which is equal for every model"),
        (10, "'seed' is no hyper-parameter; give it on the command line (--seed=...)"),
        (11, "'show_progress' is no hyper-parameter"),
        (12, "setting 'train_batch_size': 0 is not allowed; expected an integer in [1, inf)"),
        (13, "weight_decay: ['a', 'b'] is no range; expected two numbers, the lower one first"),
    ]
    assert [line for line, _ in caught.value.problems] == [line for line, _ in expected]
    for (_, message), (_, start) in zip(caught.value.problems, expected):
        assert message.startswith(start)
    assert "13 problems; nothing was run" in str(caught.value)


def test_ranges_of_declared_settings_are_checked(tmp_path):
    with pytest.raises(FileProblemsError, match=r"line 1: setting 'keep_rate': 1.5 is not allowed"):
        space_of(tmp_path, "keep_rate: {uniform: [0.5, 1.5]}\n", model="DiffKG")


@pytest.mark.parametrize(("text", "message"), [
    ("- learning_rate\n", "holds a list"),
    ("learning_rate: {log: [1, 2]}\nlearning_rate: {log: [1, 2]}\n", "stands twice"),
    ("learning_rate: {log: [1, 2\n", "is not valid YAML"),
])
def test_files_that_hold_no_space_are_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        space_of(tmp_path, text)


def test_an_unknown_model_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no model named 'KGTA'; near: .*KGAT"):
        space_of(tmp_path, "{}\n", model="KGTA")


def test_a_budget_is_checked_at_once_with_its_lines(tmp_path):
    path = tmp_path / "budget.yaml"
    path.write_text("trials: 0\nepohs: 5\nepochs: 1.5\nstopping_step: 3\nrandom_trials: 2\n"
                    "prune_after_trials: 2\n")
    with pytest.raises(FileProblemsError) as caught:
        read_budget(path)
    assert [line for line, _ in caught.value.problems] == [1, 1, 2, 3]
    text = str(caught.value)
    for part in ("'prune_after_epochs' is missing", "trials: 0 is not allowed",
                 "'epohs' is no key of a budget (did you mean 'epochs'?)",
                 "epochs: 1.5 is not allowed; expected an integer in [1, inf)"):
        assert part in text


# ---- what is shipped -------------------------------------------------------------------------


def test_every_model_of_the_comparison_has_a_space():
    assert set(MODELS) <= set(SHIPPED)


def test_pop_says_that_it_has_no_parameters():
    assert read_space(TUNING / "Pop.yaml", "Pop").parameters == ()
    assert "no parameters" in (TUNING / "Pop.yaml").read_text()


def corners(space: Space) -> list[dict]:
    """Settings that hold each end of every range, and each choice, at least once."""
    most = max((len(p.values) for p in space.parameters), default=1)
    return [{p.key: p.values[place % len(p.values)] for p in space.parameters}
            for place in range(most)]


@pytest.mark.parametrize("model", SHIPPED)
def test_a_shipped_space_makes_valid_configurations_with_the_one_budget(model):
    space = read_space(TUNING / f"{model}.yaml", model)
    budget = read_budget(TUNING / "budget.yaml")
    for settings in corners(space):
        config = Config(model, "tiny", config_dict={**budget.settings, **settings})
        assert {key: config[key] for key in settings} == settings
        assert {key: config[key] for key in budget.settings} == budget.settings


TRAINERS = {"learning_rate", "weight_decay"}
IN_TRAINERS = {"KTUP": {"train_rec_step", "train_kg_step"}, "MKR": {"kge_interval"}}


@pytest.mark.parametrize("model", SHIPPED)
def test_a_shipped_space_searches_keys_that_the_model_reads(model):
    space = read_space(TUNING / f"{model}.yaml", model)
    model_class = get_model(model)
    declared = getattr(model_class, "settings_class", None)
    read = keys_read_by(model_class) | set(declared.rules() if declared else ())
    read |= TRAINERS | IN_TRAINERS.get(model, set())
    assert {parameter.key for parameter in space.parameters} <= read


@pytest.mark.parametrize("model", SHIPPED)
def test_the_defaults_of_a_model_lie_in_its_shipped_space(model):
    space = read_space(TUNING / f"{model}.yaml", model)
    config = Config(model, "tiny")
    defaults = {parameter.key: config[parameter.key] for parameter in space.parameters}
    assert set(space.drawn(defaults)) == set(defaults)
