"""``diffkg-recbole compare``: run what a comparison file names and the store does not hold."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from diffkg_recbole.cli.shared import at_least_one
from diffkg_recbole.console import wide_console
from diffkg_recbole.shipped_files import config_names, find_config
from diffkg_recbole.store import DEFAULT_STORE, RunStore

if TYPE_CHECKING:
    from diffkg_recbole.compare.jobs import Launcher
    from diffkg_recbole.compare.plan import Plan
    from diffkg_recbole.compare.run_queue import Outcome

_EXAMPLES = """\
examples:
  %(prog)s quick --dry-run      what would run, and how long
  %(prog)s quick --jobs 2       two runs at once
  %(prog)s my.yaml --ray-address head:6379               on a Ray cluster

Stop it at any time; the same command goes on, mid-training where a run had begun. Failed runs
are tried again. Exit status: 0, 1 if a run failed, 2 if the file or the flags are wrong.
"""


def parser(prog: str) -> argparse.ArgumentParser:
    """Flags."""
    p = argparse.ArgumentParser(prog=prog, description="Run the models, seeds and controls of a "
                                "comparison file.", epilog=_EXAMPLES, allow_abbrev=False,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("file", help="comparison file (YAML), or the name of a shipped one: "
                   + ", ".join(config_names("comparisons")))
    p.add_argument("--store", default=DEFAULT_STORE, help="folder of run folders (%(default)s)")
    p.add_argument("--dry-run", action="store_true", help="list what would run, and the time")
    p.add_argument("--jobs", type=at_least_one, help="runs at once (1; on Ray, all)")
    ray = p.add_argument_group("on a Ray cluster (needs Ray 2.50 or newer)")
    ray.add_argument("--ray-address", help="its address: head:6379, ray://head:10001, auto")
    ray.add_argument("--cpus-per-run", type=at_least_one, default=1,
                     help="cores reserved for a run (%(default)s)")
    ray.add_argument("--gpus-per-run", type=float, default=0.0,
                     help="GPUs reserved for a run, may be a fraction (%(default)s)")
    ray.add_argument("--memory-per-run", type=float, metavar="GB",
                     help="memory reserved for a run (none)")
    return p


def main(argv: Sequence[str], prog: str = "diffkg-recbole compare") -> int:
    """Returns 0, or 1 if a run failed."""
    arguments = parser(prog).parse_args(list(argv))
    from diffkg_recbole.compare.file import read_comparison
    from diffkg_recbole.compare.plan import make_plan
    from diffkg_recbole.compare.runs_view import left, plan_table

    console = wide_console()
    store = RunStore(arguments.store)
    plan = make_plan(read_comparison(find_config(arguments.file, "comparisons")), store,
                     elsewhere=bool(arguments.ray_address))
    jobs = arguments.jobs or (max(1, len(plan.open)) if arguments.ray_address else 1)
    for error in store.scan().corrupt if store.root.is_dir() else ():
        print(f"warning: {error}", file=sys.stderr)
    console.print(f"{plan.comparison.title or arguments.file}: protocol "
                  f"{plan.comparison.protocol}, {len(plan.runs)} runs, "
                  f"{len(plan.runs) - len(plan.open)} finished", highlight=False, markup=False)
    if arguments.dry_run:
        console.print(plan_table(plan))
        print(left(plan, jobs))
        return 0
    outcomes = _execute(plan, arguments, jobs, console) if plan.open else []
    return _conclude(plan, outcomes, console)


def _execute(
    plan: Plan, arguments: argparse.Namespace, jobs: int, console: Console
) -> list[Outcome]:
    from diffkg_recbole.compare.run_queue import execute
    from diffkg_recbole.compare.runs_view import LiveView, left

    print(left(plan, jobs))
    launcher = _launcher(arguments, jobs)
    with LiveView(len(plan.open), plan.comparison.metrics[0], console) as view:
        return execute(plan.open, plan.store, launcher, jobs, view)


def _launcher(arguments: argparse.Namespace, jobs: int) -> Launcher:
    store = Path(arguments.store)
    if arguments.ray_address:
        from diffkg_recbole.compare.ray_jobs import RayLauncher

        gigabytes = arguments.memory_per_run
        return RayLauncher(arguments.ray_address, store, cpus=arguments.cpus_per_run,
                           gpus=arguments.gpus_per_run,
                           memory=int(gigabytes * 1e9) if gigabytes else None)
    import torch

    from diffkg_recbole.compare.jobs import LocalLauncher

    return LocalLauncher(store, jobs, torch.cuda.device_count())


def _conclude(plan: Plan, outcomes: Sequence[Outcome], console: Console) -> int:
    from diffkg_recbole.compare.runs_view import name, result_table

    done = {id(outcome.run): outcome for outcome in outcomes}
    records = []
    for run in plan.runs:
        outcome = done.get(id(run))
        record = outcome.record if outcome else run.record
        records.append(record if record is not None and record.finished else None)
    console.print(result_table(plan, records))
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    for outcome in failed:
        print(f"failed: {name(outcome.run)}: {outcome.error}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {len(plan.runs)} runs failed; the same command tries them again",
              file=sys.stderr)
        return 1
    print("next: " + shlex.join(["diffkg-recbole", "report", str(plan.store.root), "--out",
                                 "report"]))
    return 0
