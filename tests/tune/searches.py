"""Small searches for tests."""

from __future__ import annotations

from pathlib import Path

import yaml

from diffkg_recbole.tune.budget import Budget
from diffkg_recbole.tune.search import Search
from diffkg_recbole.tune.space import Parameter, Space
from diffkg_recbole.tune.trial import Result
from tests.data.synthetic import write_synthetic

BUDGET = {"trials": 6, "epochs": 2, "stopping_step": 5, "random_trials": 3,
          "prune_after_trials": 3, "prune_after_epochs": 0}
SPACE = """\
learning_rate: {log: [1.0e-3, 1.0e-1]}
embedding_size: {choice: [4, 8]}
"""


def write_workplace(root: Path, **budget: int) -> list[str]:
    """A working directory with the synthetic data, a budget and a space for BPR.

    Returns:
        the flags that a search there needs.
    """
    values = write_synthetic(root / "data")
    folder = root / "configs" / "tuning"
    folder.mkdir(parents=True)
    (folder / "budget.yaml").write_text(yaml.safe_dump({**BUDGET, **budget}))
    (folder / "BPR.yaml").write_text(SPACE)
    files = ",".join(f"'{part}'" for part in values["benchmark_filename"])
    return ["--model=BPR", "--dataset=synthetic", "--data_path=data",
            f"--benchmark_filename=[{files}]", "--train_batch_size=64"]


def search_of(*parameters: Parameter, trials: int = 6, seed: int = 1, **defaults) -> Search:
    """A search without data, for a study whose results are made up."""
    configuration = {"valid_metric": "Recall@20", "seed": seed, "epochs": 2, "stopping_step": 5,
                     "eval_step": 1, "eval_protocol": "clean", "split_seed": 2020}
    return Search("BPR", "synthetic", (), (), Space(parameters), Path("BPR.yaml"),
                  Budget(**{**BUDGET, "trials": 6}), trials, configuration, defaults,
                  {"all": "f" * 64, "counts": {"users": 4, "items": 5, "train": 9, "valid": 3}},
                  True)


def finished(score: float) -> Result:
    """A result with this score."""
    return Result("finished", score, 0, 1, {"recall@20": score}, 0.1)
