"""Runs that are killed at chosen moments, in forked processes, and what they leave behind.

The parent imports torch once and trains nothing itself, so that a kill costs a fork.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from diffkg_recbole.model import get_model
from diffkg_recbole.quick_start import run_recbole
from diffkg_recbole.trainer.trainer import PluginTrainer

SETTINGS = {
    "show_progress": False, "state": "error", "use_gpu": False, "embedding_size": 8,
    "train_batch_size": 512, "learning_rate": 0.01, "epochs": 3, "worker": 0,
}
MODELS: dict[str, dict[str, Any]] = {
    "DiffKG": {"denoiser_hidden_sizes": [8], "stopping_step": 0, "epochs": 6},
    "KGCL": {}, "KGAT": {}, "LightGCN": {"eval_step": 2, "epochs": 5}, "EASE": {},
}
_UNLIKE = ("started", "finished", "process", "command", "error")
_WRITES = os.O_WRONLY | os.O_RDWR


class FileOperations:
    """Counts this process's writes, renames, removals, new folders and fsyncs below a folder,
    and kills the process before the n-th.

    Args:
        root: the folder.
        kill_at: n, from 1; 0 only counts.
    """

    def __init__(self, root: Path, kill_at: int = 0) -> None:
        self.root, self.kill_at, self.count = str(root), kill_at, 0
        sys.addaudithook(self._heard)
        fsync = os.fsync

        def counted(descriptor: Any) -> None:
            self._one()
            fsync(descriptor)

        os.fsync = counted  # fsync raises no audit event; this process ends with the run

    def _heard(self, event: str, arguments: tuple) -> None:
        if event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITES):
            return
        if isinstance(arguments[0], (str, os.PathLike)) and str(arguments[0]).startswith(self.root):
            self._one()

    def _one(self) -> None:
        self.count += 1
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def train(model: str, store: Path, resume: bool = True) -> None:
    """One run of a model on the small dataset."""
    run_recbole(model, "tiny", config_dict={**SETTINGS, **MODELS[model]}, store=store,
                resume=resume)


def in_child(work: Callable[[], None], kill_after: float | None = None) -> int:
    """Do something in a forked process; returns minus the signal that ended it, or its status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            logging.disable(logging.WARNING)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def train_killed_at(model: str, store: Path, n: int, resume: bool = True) -> int:
    """Train and be killed before the n-th file operation."""
    def work() -> None:
        FileOperations(store, n)
        train(model, store, resume)

    return in_child(work)


def train_killed_before_result(model: str, store: Path) -> int:
    """Train and be killed when the training is over and nothing is evaluated yet."""
    def work() -> None:
        evaluate = PluginTrainer.evaluate

        def die(trainer: Any, data: Any, load_best_model: bool = True, *a: Any, **k: Any) -> Any:
            if load_best_model:
                os.kill(os.getpid(), signal.SIGKILL)
            return evaluate(trainer, data, load_best_model, *a, **k)

        PluginTrainer.evaluate = die  # type: ignore[method-assign]
        train(model, store)

    return in_child(work)


def undisturbed(model: str, store: Path) -> tuple[int, float]:
    """Train in peace; returns the number of file operations and the seconds."""
    counted = store.parent / f"{model}.operations"

    def work() -> None:
        operations = FileOperations(store)
        train(model, store)
        counted.write_text(str(operations.count))

    start = time.perf_counter()
    assert in_child(work) == 0
    return int(counted.read_text()), time.perf_counter() - start


def left_behind(store: Path) -> dict[str, Any]:
    """Everything in the only run folder that must be equal, whatever happened on the way."""
    (folder,) = (path for path in store.iterdir() if not path.name.startswith("."))
    record = json.loads((folder / "run.json").read_text())
    record = {key: value for key, value in record.items() if key not in _UNLIKE}
    record["cost"] = record["cost"]["parameters"]
    for name in ("epochs.jsonl",):  # holds seconds
        record["files"].pop(name)
    record["files"].pop("model.pth")  # compared below, tensor by tensor
    epochs = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
    for row in epochs:
        assert row.pop("seconds")
    model = torch.load(folder / "model.pth", weights_only=True)
    return {
        "names": sorted(path.name for path in folder.iterdir()), "record": record,
        "epochs": epochs, "model": _flat(model),
        "tables": {path.name: pd.read_parquet(path).to_json() for path in folder.glob("*.parquet")},
    }


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {k: v for key, part in value.items()
                for k, v in _flat(part, f"{name}/{key}").items()}
    if isinstance(value, (list, tuple)):
        return {k: v for i, part in enumerate(value) for k, v in _flat(part, f"{name}/{i}").items()}
    if isinstance(value, torch.Tensor):
        dense = value.to_dense() if value.layout != torch.strided else value
        return {name: (str(dense.dtype), tuple(dense.shape), dense.numpy().tobytes())}
    return {name: repr(value)}


def differences(found: dict[str, Any], expected: dict[str, Any], name: str = "") -> list[str]:
    """Names of what differs."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return [text for key in {**found, **expected}
                for text in differences(found.get(key), expected.get(key), f"{name}/{key}")]
    return [] if found == expected else [name]


def warm(model: str) -> None:
    """Import what a run imports, so that forked processes need not."""
    get_model(model)


def moments(random_numbers: random.Random, operations: int, chains: int) -> list[int]:
    """File operations spread over a whole run, the first and the last ones among them."""
    step = max(1.0, operations / max(1, chains))
    spread = {min(operations, 1 + int(i * step + random_numbers.random() * (step - 1)))
              for i in range(chains)}
    return sorted(spread | {1, operations})
