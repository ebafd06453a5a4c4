"""An epoch of DiffKG on large data, in a process of its own: time and peak memory of each stage.

The plain form is not run here: its dense entity × entity matrix alone takes 4 N² bytes (45 GB for
Last-FM, and the authors' program holds it twice).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.child import spawn, stage, threads_argument
from benchmarks.problems import is_real, write_atomic_files

_SETTINGS = Path(__file__).parents[1] / "configs" / "models" / "DiffKG"


def large_epoch(
    name: str, source: Path, threads: int, steps: int, rows: int | None,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Convert, load, and run an epoch with so many recommender steps.

    Args:
        rows: how many rows the denoiser is trained on and are generated; None: all.

    Returns:
        stages of converting and of the epoch, and whether the data are real.
    """
    with tempfile.TemporaryDirectory() as folder:
        common = ["--data", name, "--source", str(source), "--folder", folder,
                  "--threads", str(threads), "--steps", str(steps), "--rows", str(rows or 0)]
        stages = spawn("benchmarks.large", ["convert", *common], tell)
        if "error" not in stages[-1]:
            stages += spawn("benchmarks.large", ["epoch", *common], tell)
    return {"data": name, "real": is_real(name, source), "stages": stages}


def _convert(arguments: argparse.Namespace) -> None:
    with stage("converting"):
        write_atomic_files(arguments.data, arguments.source, arguments.folder)


def _epoch(arguments: argparse.Namespace) -> None:
    import torch

    from benchmarks.epochs import OurEpoch, experiment
    from benchmarks.phases import generated_top_of

    torch.set_num_threads(arguments.threads)
    file = _SETTINGS / f"{arguments.data}.yaml"
    with stage("loading"):
        data = experiment("DiffKG", arguments.data, {"data_path": str(arguments.folder)},
                          [str(file)] if file.is_file() else None)
    with stage("building the model"):
        ours = OurEpoch(data)
    network, trainer = ours.model.network, ours.trainer
    order = network.draws.row_order(network.n_rows)[: arguments.rows or None]
    with stage("diffusion", rows=len(order), of_rows=network.n_rows):
        trainer.phase_report = {}
        trainer.train_denoiser(order, 0)
    network.eval()
    with stage("generation", rows=len(order), of_rows=network.n_rows):
        top = network.generated_top() if len(order) == network.n_rows else (
            generated_top_of(network, order).new_zeros(network.n_rows, 1))
    with stage("rebuilding") as report:
        report["problem"] = network.rebuild(top)
    _recommender_steps(ours, arguments.steps)
    with stage("evaluation", users=len(data.valid_data.uid_list)):
        trainer.evaluate(data.valid_data, load_best_model=False)


def _recommender_steps(ours: Any, steps: int) -> None:
    """So many steps by the trainer itself; what remains of the epoch is extrapolated."""
    import torch
    from recbole.utils import KGDataLoaderState

    data = ours.data.train_data
    data.set_mode(KGDataLoaderState.RS)
    ours.model.train()
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    with stage("recommender", of=len(data)) as report:
        done = 0
        for done, batch in enumerate(data, start=1):
            ours.trainer._step(batch, ours.model.calculate_loss, scaler)
            if done == steps:
                break
        report["steps"] = done


def main() -> None:
    """One of the two halves; see :func:`large_epoch`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=("convert", "epoch"))
    parser.add_argument("--data", required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rows", type=int, default=0)
    threads_argument(parser)
    arguments = parser.parse_args()
    os.chdir(arguments.folder)
    (_convert if arguments.part == "convert" else _epoch)(arguments)


if __name__ == "__main__":
    main()
