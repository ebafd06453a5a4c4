"""When two runs of one configuration are the same to the last bit.

Every run is a process of its own, with its number of threads. ``docs/reproducibility.md`` holds
the results.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from diffkg_recbole.config import Config
from diffkg_recbole.quick_start import prepare

MODELS = ("DiffKG", "KGCL", "KGAT", "LightGCN", "KGIN", "BPR", "EASE", "ItemKNN")


def train(model: str, dataset: str, epochs: int, fixed_order: bool, folder: Path) -> dict[str, Any]:
    """Train in this process; what a run leaves: parameters, losses, metrics, and its seconds."""
    config = Config(model, dataset, config_dict={
        "epochs": epochs, "show_progress": False, "state": "error", "use_gpu": False,
        "checkpoint_dir": str(folder), "reproducibility": fixed_order})
    experiment = prepare(config)
    trainer = experiment.build_trainer(experiment.build_model())
    start = perf_counter()
    trainer.fit(experiment.train_data, experiment.valid_data, saved=False)
    seconds = perf_counter() - start
    metrics = trainer.evaluate(experiment.test_data, load_best_model=False)
    ranked = torch.from_numpy(trainer.evaluator.ranked.items)
    state = {name: value for name, value in trainer.model.state_dict().items()
             if isinstance(value, torch.Tensor)}
    losses = torch.tensor([
        x for loss in trainer.train_loss_dict.values()
        for x in (loss if isinstance(loss, tuple) else (loss,))], dtype=torch.float64)
    return {"state": {**state, "losses": losses, "lists": ranked}, "metrics": dict(metrics),
            "seconds": seconds}


def in_a_process(
    model: str, dataset: str, epochs: int, fixed_order: bool, threads: int
) -> dict[str, Any]:
    """:func:`train` in a fresh process with that many threads."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, "-m", "benchmarks.determinism", "--models", model,
                   "--data", dataset, "--epochs", str(epochs), "--child", folder]
        subprocess.run(command + ([] if fixed_order else ["--any-order"]), env=environment,
                       check=True)
        return torch.load(Path(folder) / "run.pt", weights_only=True)


def difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    """``same`` to the last bit, or the largest difference of parameters and of metrics."""
    pairs = [(one["state"][name], other["state"][name]) for name in one["state"]]
    if all(torch.equal(a, b) for a, b in pairs) and one["metrics"] == other["metrics"]:
        return "same"
    parameter = max((float((a - b).abs().max()) for a, b in pairs
                     if a.is_floating_point() and a.numel()), default=0.0)
    metric = max(abs(one["metrics"][name] - other["metrics"][name]) for name in one["metrics"])
    return f"{parameter:.0e} / {metric:.0e}"


def compare(
    model: str, dataset: str, epochs: int, fixed_order: bool, repeats: int
) -> list[str]:
    """A row of the table: the model, then what differs between runs with 1 and 2 threads."""
    runs = {threads: [in_a_process(model, dataset, epochs, fixed_order, threads)
                      for _ in range(repeats)] for threads in (1, 2)}
    row = [model, dataset]
    for threads in (1, 2):
        found = [difference(runs[threads][0], other) for other in runs[threads][1:]]
        row.append(next((text for text in found if text != "same"), "same"))
    row.append(difference(runs[1][0], runs[2][0]))
    row += [f"{min(run['seconds'] for run in runs[threads]):.2f}" for threads in (1, 2)]
    return row


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.determinism", description=__doc__)
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="MODEL")
    parser.add_argument("--data", nargs="+", default=["tiny"], metavar="DATA")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--any-order", action="store_true",
                        help="train with reproducibility: False")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        run = train(arguments.models[0], arguments.data[0], arguments.epochs,
                    not arguments.any_order, arguments.child)
        torch.save(run, arguments.child / "run.pt")
        return
    print("| model | data | 1 thread | 2 threads | 1 against 2 | s, 1 thread | s, 2 threads |\n"
          "|---|---|---|---|---|---|---|")
    for dataset in arguments.data:
        for model in arguments.models:
            row = compare(model, dataset, arguments.epochs, not arguments.any_order,
                          arguments.repeats)
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
