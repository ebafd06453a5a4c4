"""The budget of a search: one file for all models, so that none is tuned harder than another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from diffkg_recbole.config.plain_yaml import read_yaml
from diffkg_recbole.config.yaml_lines import Problems
from diffkg_recbole.settings import Settings, integer
from diffkg_recbole.text import near_names


@dataclass(frozen=True)
class Budget(Settings):
    """What a search may spend (``configs/tuning/budget.yaml``)."""

    trials: int = integer("Settings that are tried.", low=1)
    epochs: int = integer("Most epochs of a trial.", low=1)
    stopping_step: int = integer("Epochs without gain before a trial stops by itself.", low=0)
    random_trials: int = integer("Trials drawn at random before the search learns.", low=1)
    prune_after_trials: int = integer("Finished trials before any is given up.", low=1)
    prune_after_epochs: int = integer("Epochs of a trial before it may be given up.", low=0)

    @property
    def settings(self) -> dict[str, int]:
        """Configuration of every trial; validated after each epoch, which is what prunes."""
        return {"epochs": self.epochs, "stopping_step": self.stopping_step, "eval_step": 1}


def read_budget(path: Path) -> Budget:
    """Read and check a budget.

    Raises:
        DataError: the file is missing or no YAML mapping.
        FileProblemsError: all other problems at once, each with its line.
    """
    values, lines = read_yaml(path)
    rules, problems = Budget.rules(), Problems(path)
    for key, value in values.items():
        if key not in rules:
            problems.add(lines[key], f"'{key}' is no key of a budget{near_names(key, rules)}; "
                                     f"expected {', '.join(rules)}")
            continue
        try:
            rules[key].convert(value)
        except ValueError:
            problems.add(lines[key], f"{key}: {value!r} is not allowed; expected "
                                     f"{rules[key].expected}")
    for key in rules:
        if key not in values:
            problems.add(1, f"'{key}' is missing")
    problems.raise_if_any()
    return Budget.from_config(values)
