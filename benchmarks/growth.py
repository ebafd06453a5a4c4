"""How time and memory of each phase grow with the number of entities."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.child import spawn, threads_argument

SIZES = (5_000, 10_000, 20_000, 50_000, 100_000)
_USERS = 20_000
_BLOCK = 1024  # rows whose time is measured, to be multiplied up to all rows


def growth(sizes: Sequence[int], threads: int, tell: Callable[[str], None]) -> list[dict]:
    """A row per size and phase: seconds of a whole pass, and the memory taken for its time.

    The row "together" sums the seconds; its memory is the peak of the process beyond PyTorch's
    own, with data, graph, parameters and optimizer states.
    """
    rows = []
    for size in sizes:
        tell(f"growth: {size} entities")
        arguments = ["--entities", str(size), "--threads", str(threads)]
        stages = spawn("benchmarks.growth", arguments, lambda _: None)
        rows += [{"entities": size, **row} for row in stages]
    return rows


def exponents(rows: list[dict]) -> dict[str, dict[str, float]]:
    """Slopes of log seconds and log bytes over log entities, by phase.

    Memory below a few megabytes is noise of the allocator and left out.
    """
    found: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(row["stage"] for row in rows if "error" not in row):
        of_phase = [row for row in rows if row["stage"] == name]
        found[name] = {}
        for key, least in (("seconds", 0.0), ("memory", 4e6)):
            points = [(row["entities"], row[key]) for row in of_phase if row[key] > least]
            if len(points) > 1:
                size, value = np.log(np.array(points)).T
                found[name][key] = float(np.polyfit(size, value, 1)[0])
    return found


def plot(rows: list[dict], path: Path) -> None:
    """Time and memory over entities, both axes logarithmic, exponents in the legend."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    slopes = exponents(rows)
    for axis, (key, unit, scale) in zip(
        axes, (("seconds", "seconds", 1.0), ("memory", "memory (MB)", 1e-6))
    ):
        for name, slope in slopes.items():
            points = [(r["entities"], r[key] * scale) for r in rows if r["stage"] == name]
            points = [(n, value) for n, value in points if value > 0]
            if points and key in slope:
                axis.loglog(*zip(*points), "o-", label=f"{name}: N^{slope[key]:.2f}")
        axis.set_xlabel("entities N")
        axis.set_ylabel(unit)
        axis.grid(True, which="both", alpha=0.3)
        axis.legend(fontsize=8)
    figure.savefig(path)
    pyplot.close(figure)


# ---- one size, in a process of its own ---------------------------------------------------------


def _phases(n_entities: int) -> Iterator[tuple[str, Callable[[], Any], float]]:
    """Name, computation, and the factor from its time to that of a whole pass."""
    import torch

    from benchmarks.phases import Bench, attention_phase, generated_top_of, step_phase
    from benchmarks.problems import Problem, Sizes, generate
    from diffkg_recbole.model.diffkg import DiffKGSettings
    from diffkg_recbole.model.graph import KnowledgeGraph

    sizes = Sizes(_USERS, int(0.45 * n_entities), 20 * _USERS, 0, n_entities, 9,
                  int(4.4 * n_entities))
    data = generate("generated", sizes)
    yield "graph", lambda: KnowledgeGraph.from_triples(data.triples, n_entities, 9), 1.0
    bench = Bench(Problem.of(data), DiffKGSettings(), None)
    network = bench.network
    yield "attention", attention_phase(bench).ours, 1.0
    yield "recommender step", step_phase(bench).ours, 1.0
    top = network.graph.tail[network.graph.indptr[:-1].clamp(max=network.graph.n_edges - 1)]
    yield "rebuilding", lambda: network.graph.rebuild(top.unsqueeze(1)), 1.0
    network.eval()
    yield "generation", lambda: generated_top_of(network, bench.rows[:_BLOCK]), _generation_factor(
        network, n_entities)
    optimizer = torch.optim.Adam(network.denoiser.parameters(), lr=1e-3, fused=True)
    target = network.collaborative_target()

    def diffusion_batch() -> None:
        (entity, rows), = network.diffusion_batches(bench.rows[:_BLOCK])
        optimizer.zero_grad()
        network.diffusion_loss(entity, rows, target)[0].backward()
        optimizer.step()

    yield "diffusion", diffusion_batch, n_entities / _BLOCK


def _generation_factor(network: Any, n_entities: int) -> float:
    """From the operations of one block to those of all blocks; what is made once counts once."""
    hidden, steps = network.settings.denoiser_hidden_sizes[0], network.settings.steps
    once = 3.25 * n_entities * hidden**2
    a_row = 2.0 * n_entities * hidden + (steps - 1) * 4.0 * hidden**2
    return (once + n_entities * a_row) / (once + _BLOCK * a_row)


def main() -> None:
    """Measure one size; prints a JSON object per phase."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--entities", type=int, required=True)
    threads_argument(parser)
    arguments = parser.parse_args()
    import torch

    from benchmarks.machine import forget_peak, peak_memory

    torch.set_num_threads(arguments.threads)
    begin = peak_memory()
    total: dict[str, Any] = {"stage": "together", "seconds": 0.0, "memory": 0.0}
    for name, run, factor in _phases(arguments.entities):
        run()
        forget_peak()
        before, seconds = peak_memory(), _seconds(run)
        peak = peak_memory()
        row = {"stage": name, "seconds": seconds * factor, "memory": max(peak - before, 0.0)}
        total["seconds"] += row["seconds"]
        total["memory"] = max(total["memory"], peak - begin)
        print(json.dumps(row), flush=True)
    print(json.dumps(total), flush=True)


def _seconds(run: Callable[[], Any]) -> float:
    """Of one run: elapsed, or the processor's on one thread where that is less because other
    programs were running."""
    import torch

    start, cpu = time.perf_counter(), time.process_time()
    run()
    cpu, elapsed = time.process_time() - cpu, time.perf_counter() - start
    return min(elapsed, cpu) if torch.get_num_threads() == 1 else elapsed


if __name__ == "__main__":
    main()
