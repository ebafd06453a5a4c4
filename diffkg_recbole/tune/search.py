"""What is searched, resolved and checked before the first trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffkg_recbole.config import Config
from diffkg_recbole.errors import UserError
from diffkg_recbole.model import get_model
from diffkg_recbole.quick_start import prepare
from diffkg_recbole.shipped_files import config_folder
from diffkg_recbole.store import code_hash, determining, run_id
from diffkg_recbole.tune.budget import Budget, read_budget
from diffkg_recbole.tune.space import Space, read_space


def tuning_file(name: str) -> Path:
    """A file of ``configs/tuning``: of the working directory, else the shipped one."""
    here = Path("configs") / "tuning" / name
    return here if here.is_file() else config_folder() / "tuning" / name


def word_key(word: str) -> str:
    """The key of a ``--key=value`` of the command line."""
    return word[2:].partition("=")[0]


@dataclass(frozen=True)
class Search:
    """A checked search; made by :func:`make_search`.

    Args:
        model, dataset: names.
        files, words: configuration that is the same in every trial, files first.
        space, space_file: what is searched, and where that is written.
        budget: of every model.
        trials: of this search; the budget's unless the user gave another number.
        configuration: the resolved configuration without the searched keys.
        defaults: the model's own values of the searched keys.
        fingerprint: of the data.
        maximize: whether larger validation scores are better.
    """

    model: str
    dataset: str
    files: tuple[str, ...]
    words: tuple[str, ...]
    space: Space
    space_file: Path
    budget: Budget
    trials: int
    configuration: dict[str, Any]
    defaults: dict[str, Any]
    fingerprint: dict[str, Any]
    maximize: bool

    @property
    def id(self) -> str:
        """Content hash of all that determines the trials; their number may be raised later."""
        rules = {key: value for key, value in vars(self.budget).items() if key != "trials"}
        identity = {**self.configuration, "search space": self.space.plain(), "budget": rules}
        return run_id(identity, self.fingerprint, code_hash())

    @property
    def metric(self) -> str:
        """The validation metric that is searched for."""
        return str(self.configuration["valid_metric"]).lower()

    @property
    def seed(self) -> int:
        """Of the search and of every training in it."""
        return self.configuration["seed"]

    @property
    def settings(self) -> dict[str, Any]:
        """The budget's part of every trial's configuration, as it applies."""
        return {key: self.configuration[key] for key in self.budget.settings}


def make_search(
    model: str | None,
    dataset: str | None,
    files: Sequence[str] = (),
    words: Sequence[str] = (),
    space_file: Path | None = None,
    trials: int | None = None,
) -> Search:
    """Read and check everything, the data included.

    Args:
        model, dataset: names.
        files: configuration files of every trial.
        words: ``--key=value`` of every trial; a key that stands here is not searched.
        space_file: search space; by default the model's in ``configs/tuning``.
        trials: their number; by default the budget's.

    Raises:
        UserError: anything that is the user's to mend.
    """
    for name, given in (("model", model), ("dataset", dataset)):
        if not given:
            raise UserError(f"no {name} is named; give --{name}=<name>")
    assert model is not None
    get_model(model)
    path = space_file or tuning_file(f"{model}.yaml")
    if not path.is_file():
        hint = "" if space_file else "; write one and name it with --space"
        raise UserError(f"there is no search space for {model}: {path} does not exist{hint}")
    budget = read_budget(tuning_file("budget.yaml"))
    given_keys = {word_key(word) for word in words}
    space = read_space(path, model).without(given_keys)
    config = Config(model, dataset, files, budget.settings, words)
    _check(config)
    plain = config.plain()
    experiment = prepare(config)
    return Search(
        model, str(dataset), tuple(files), tuple(words), space, path, budget,
        budget.trials if trials is None else trials,
        {key: value for key, value in determining(plain).items() if key not in space},
        {parameter.key: plain.get(parameter.key) for parameter in space.parameters},
        experiment.fingerprint, bool(config["valid_metric_bigger"]),
    )


def _check(config: Config) -> None:
    """A search needs validation scores, and none of the test part."""
    if config["eval_protocol"] == "authors":
        raise UserError("protocol 'authors' chooses on the test part, and a search must not see "
                        "it; search with --eval_protocol=clean or recbole")
    if config["eval_step"] < 1 or config["epochs"] < 1:
        raise UserError("a search needs validation scores; expected epochs and eval_step of at "
                        "least 1")
