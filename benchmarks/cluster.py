"""Runs of a comparison on a Ray cluster of four raylets on this machine, with things killed.

    python -m benchmarks.cluster [--seeds 4]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from diffkg_recbole.store import RunStore

NODES = 3


def make_cluster():
    """A head without cores and three nodes with one core each."""
    from ray.cluster_utils import Cluster

    store = 100_000_000
    cluster = Cluster(initialize_head=True,
                      head_node_args={"num_cpus": 0, "object_store_memory": store})
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=store) for _ in range(NODES)]
    return cluster, nodes


def comparison(folder: Path, seeds: int, epochs: int) -> Path:
    """A comparison file of one model on the tiny data set."""
    path = folder / "comparison.yaml"
    path.write_text(f"datasets: tiny\nmodels: [BPR]\nseeds: {list(range(seeds))}\n"
                    f"settings: {{epochs: {epochs}, stopping_step: {epochs}}}\n")
    return path


def compare(file: Path, store: Path, *flags: str) -> subprocess.Popen:
    """``diffkg-recbole compare`` in a process of its own."""
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    with (store.parent / f"{store.name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "diffkg_recbole", "compare", str(file), f"--store={store}",
             *flags], stdout=log, stderr=subprocess.STDOUT, env=environment)


def counts(store: Path, seeds: int) -> dict[str, int]:
    """Runs lost, and runs that are there more than once."""
    records = RunStore(store).records() if store.is_dir() else []
    found = Counter(record.seed for record in records if record.finished)
    return {"runs": seeds, "lost": seeds - len(found),
            "twice": sum(number > 1 for number in found.values())}


def wait_for_first(store: Path, process: subprocess.Popen) -> None:
    """Return when one run has come back, or the command has ended."""
    while process.poll() is None and not list(store.glob("*/run.json")):
        time.sleep(0.2)


def node_killed(file: Path, store: Path, seeds: int, cluster, node) -> dict[str, int]:
    """A node is killed while a run is at work on it; the same call does the rest."""
    process = compare(file, store, "--ray-address", cluster.address)
    while process.poll() is None and not runs_on(node):
        time.sleep(0.2)
    at_kill, at_work = counts(store, seeds)["lost"], runs_on(node)
    cluster.remove_node(node, allow_graceful=False)
    return {"status": process.wait(), "open_at_kill": at_kill, "on_the_node": at_work,
            **counts(store, seeds)}


def runs_on(node) -> int:
    """How many runs are at work below a node's raylet."""
    at_work = 0
    for raylet in node.all_processes["raylet"]:
        for child in psutil.Process(raylet.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                at_work += "diffkg_recbole.compare.worker" in child.cmdline()
    return at_work


def driver_killed(file: Path, store: Path, seeds: int, cluster) -> dict[str, int]:
    """The command is killed when the first run has come back; the next call does the rest."""
    process = compare(file, store, "--ray-address", cluster.address)
    wait_for_first(store, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    at_kill = counts(store, seeds)["lost"]
    status = compare(file, store, "--ray-address", cluster.address).wait()
    return {"status": status, "open_at_kill": at_kill, **counts(store, seeds)}


def overhead(file: Path, folder: Path, seeds: int, cluster) -> dict[str, float]:
    """Seconds a run, one at a time, here and through Ray."""
    seconds = {}
    for name, flags in {"local": [], "ray": ["--ray-address", cluster.address]}.items():
        started = time.perf_counter()
        compare(file, folder / name, "--jobs=1", *flags).wait()
        seconds[name] = round((time.perf_counter() - started) / seeds, 2)
    return {**seconds, "ratio": round(seconds["ray"] / seconds["local"], 2)}


def main() -> None:
    """Prints one JSON line for each experiment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    cluster, nodes = make_cluster()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder, seeds = Path(scratch), arguments.seeds
            file = comparison(folder, seeds, arguments.epochs)
            for name, result in (
                ("node killed", lambda: node_killed(file, folder / "a", seeds, cluster, nodes[0])),
                ("driver killed", lambda: driver_killed(file, folder / "b", seeds, cluster)),
                ("overhead", lambda: overhead(file, folder, seeds, cluster)),
            ):
                print(json.dumps({"experiment": name, **result()}), flush=True)
            for log in sorted(folder.glob("*.log")):
                print(log.name, log.read_text()[-300:], file=sys.stderr)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
