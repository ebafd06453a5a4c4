"""Small finished runs for tests, written through the store as a trainer would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from diffkg_recbole.store import RunRecord, RunStore


def fingerprint(data: str = "a", **parts: Any) -> dict[str, Any]:
    """A fingerprint whose parts are named after ``data``; ``parts`` replace some of them."""
    counts = {"users": 4, "items": 9, "train": 20, "valid": 4, "test": 6}
    whole = {"train": f"train-{data}", "valid": f"valid-{data}", "test": f"test-{data}",
             "all": f"all-{data}", "counts": counts}
    return {**whole, **parts}


def users_table(values: dict[str, float], metric: str = "recall@20") -> pd.DataFrame:
    """Per-user values of one metric; the k-th user has k training interactions."""
    return pd.DataFrame({"user": list(values), "n_train": range(1, len(values) + 1),
                         metric: list(values.values())})


def finished_run(
    root: Path, users: dict[str, float] | pd.DataFrame, *, model: str = "BPR", seed: int = 1,
    pairs: pd.DataFrame | None = None, configuration: dict[str, Any] | None = None, **record: Any,
) -> RunRecord:
    """Write a finished run into the store ``root`` and read it back."""
    users = users if isinstance(users, pd.DataFrame) else users_table(users)
    configuration = {"model": model, "seed": seed, "topk": [20], **(configuration or {})}
    record = {"model": model, "dataset": "tiny", "protocol": "clean", "label": model,
              "seed": seed, "split_seed": 0, "fingerprint": fingerprint(), **record}
    identity = {"configuration": {**configuration, "split_seed": record["split_seed"],
                                  "label_for_test": record["label"],
                                  "protocol": record["protocol"]},
                "fingerprint": record["fingerprint"]}
    metrics = {name: users[name].mean() for name in users.columns[2:]}
    with RunStore(root).open(identity, record) as run:
        run.write_config(configuration)
        run.append_epoch({"epoch": 0, "losses": {"bpr": 0.7}, "valid": metrics,
                          "seconds": {"train": 1.0, "valid": 0.5}})
        run.finish({"epoch": 0, "epochs_run": 1, "valid": metrics, "test": metrics,
                    "cost": {"seconds_total": 1.5}}, users=users, pairs=pairs)
    return RunRecord(run.folder)
