"""Command line of the benchmarks."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import epochs, machine, pipeline, report
from benchmarks.clock import Disagreement, measure
from benchmarks.growth import SIZES as GROWTH_SIZES
from benchmarks.growth import exponents, growth, plot
from benchmarks.large import large_epoch
from benchmarks.phases import DENSE_PHASES, PHASES, Bench
from benchmarks.problems import SIZES, Problem, Sizes, generate, is_real, load, write_atomic_files
from diffkg_recbole.files import replacing
from diffkg_recbole.model.diffkg import DiffKGSettings

GROUPS = ("phases", "pipeline", "epochs", "baselines", "growth", "large")
_SOURCE = Path(__file__).parents[2] / "shared" / "data"
_DENSE_ROWS = 2**26  # entries of the dense rows that the plain forms of row-wise phases hold
_DENSE_ENTITIES = 25_000  # above, a dense entity × entity matrix takes over 2.5 GB
_TINY = Sizes(60, 40, 900, 200, 90, 3, 260)
_EXAMPLES = """\
examples:
  python -m benchmarks --quick                          every group on tiny data, in seconds
  python -m benchmarks --groups phases --data ml-100k movie
  python -m benchmarks --groups phases --phases attention propagation --data last-fm
  python -m benchmarks --groups large --data alibaba    an epoch at full size, with its memory
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", epilog=_EXAMPLES,
        description="Every phase of DiffKG against its plain form, whole epochs, large data, "
                    "growth with the number of entities, and RecBole's models beside it.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=GROUPS, metavar="GROUP",
                        help=f"of {', '.join(GROUPS)}; default: all")
    parser.add_argument("--phases", nargs="+", choices=PHASES, default=list(PHASES),
                        metavar="PHASE", help=f"of {', '.join(PHASES)}; default: all")
    parser.add_argument("--data", nargs="+", choices=["ml-100k", *SIZES], metavar="DATA",
                        help=f"of ml-100k, {', '.join(SIZES)}; default: what fits the group")
    parser.add_argument("--source", type=Path, default=_SOURCE, metavar="DIR",
                        help="folder of the real data; what is missing there is generated with "
                             "the same sizes (default: shared/data beside the project)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N",
                        help="processor threads (default: all)")
    parser.add_argument("--repeats", type=int, default=5, metavar="N",
                        help="timed runs of each form (default: 5)")
    parser.add_argument("--steps", type=int, default=50, metavar="N",
                        help="recommender steps on large data (default: 50)")
    parser.add_argument("--rows", type=int, metavar="N",
                        help="rows of the diffusion on large data; the time of the others is "
                             "extrapolated (default: all rows)")
    parser.add_argument("--quick", action="store_true",
                        help="tiny generated data: shows that everything works, not how fast")
    parser.add_argument("--output", type=Path, default=Path("benchmark_results"), metavar="DIR",
                        help="folder for results.json, tables.md and growth.svg")
    return parser


class Runner:
    """Runs the groups one after the other; what is finished is on disk at once.

    Args:
        arguments: the command line.
        folder: scratch folder for converted data.
    """

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments, self.folder = arguments, folder
        self.output: Path = arguments.output.resolve()
        self.output.mkdir(parents=True, exist_ok=True)
        self.results: dict[str, Any] = {
            "machine": machine.describe(), "ceilings": machine.ceilings(arguments.quick),
            "command": ["python", "-m", "benchmarks", *sys.argv[1:]],
        }
        self.tables: list[str] = []

    def run(self) -> None:
        for group in GROUPS:
            if group in self.arguments.groups:
                getattr(self, group)()

    def _names(self, *default: str) -> list[str]:
        return ["tiny"] if self.arguments.quick else self.arguments.data or list(default)

    def _save(self, group: str, rows: list[dict], tables: dict[str, list[report.Row]]) -> None:
        self.results[group] = rows
        for title, table in tables.items():
            text = f"### {title}\n\n{report.markdown(table)}\n"
            print(f"\n{text}", flush=True)
            self.tables.append(text)
        _write(self.output / "results.json", json.dumps(self.results, indent=1) + "\n")
        _write(self.output / "tables.md", "\n".join(self.tables))

    # ---- groups -----------------------------------------------------------------------------

    def phases(self) -> None:
        rows = []
        for name in self._names("ml-100k", "movie", "last-fm", "alibaba"):
            bench = self._bench(name)
            for phase in self.arguments.phases:
                if phase in DENSE_PHASES and bench.network.n_entities > _DENSE_ENTITIES:
                    continue
                _tell(f"{phase} on {name}")
                rows.append(measure(PHASES[phase](bench), self.arguments.repeats))
        ceilings = self.results["ceilings"][str(torch.get_num_threads())]
        self._save("phases", rows, {"Phases": report.phase_table(rows, ceilings),
                                    "Work of the phases": report.work_table(rows)})

    def _bench(self, name: str) -> Bench:
        if self.arguments.quick:
            problem = Problem.of(generate(name, _TINY))
        elif name == "ml-100k":
            data = epochs.experiment("DiffKG", name, epochs.THINNED)
            network = data.build_model().network
            problem = Problem(name, network.n_users, network.n_items, network.graph,
                              network.user, network.item)
        else:
            problem = load(name, self.arguments.source)
        settings = DiffKGSettings(denoiser_hidden_sizes=[16 if self.arguments.quick else 1000])
        torch.manual_seed(0)
        return Bench(problem, settings, _DENSE_ROWS // problem.graph.n_entities)

    def pipeline(self) -> None:
        rows = []
        for name in self._names("ml-100k", "movie", "alibaba"):
            dataset, values = self._configured(name)
            pairs = [pipeline.loading_pair]
            if SIZES.get(name, _TINY).entities <= _DENSE_ENTITIES:
                pairs.append(pipeline.evaluation_pair)
            for make in pairs:
                _tell(f"{make.__name__[:-5]} on {name}")
                rows.append(measure(make(dataset, values, name), self.arguments.repeats))
        ceilings = self.results["ceilings"][str(torch.get_num_threads())]
        self._save("pipeline", rows, {"Around the model": report.phase_table(rows, ceilings)})

    def epochs(self) -> None:
        rows = []
        for name in self._names("ml-100k", "movie"):
            if SIZES.get(name, _TINY).entities > _DENSE_ENTITIES:
                _tell(f"{name}: no plain epoch, its dense matrix does not fit")
                continue
            _tell(f"whole epoch on {name}")
            pair, ours, plain = epochs.epoch_pair(*self._configured(name), name)
            row = measure(pair, self.arguments.repeats)
            rows.append({**row, "parts": {"plain": plain.seconds, "ours": ours.seconds}})
        ceilings = self.results["ceilings"][str(torch.get_num_threads())]
        self._save("epochs", rows, {"Whole epochs": report.phase_table(rows, ceilings),
                                    "Parts of the epochs": report.epoch_table(rows)})

    def _configured(self, name: str) -> tuple[str, dict[str, Any]]:
        """Data set and values of a configuration."""
        if self.arguments.quick:
            return "tiny", {"denoiser_hidden_sizes": [16], "train_batch_size": 256}
        if name == "ml-100k":
            return name, epochs.THINNED
        if not (self.folder / name).is_dir():
            write_atomic_files(name, self.arguments.source, self.folder)
        return name, {"data_path": str(self.folder)}

    def baselines(self) -> None:
        name = self._names("ml-100k")[0]
        _tell(f"models of RecBole on {name}")
        dataset, values = self._configured(name)
        common = {key: value for key, value in values.items()
                  if key not in ("denoiser_hidden_sizes", "train_batch_size")}
        rows = epochs.baselines(dataset, common, 1 if self.arguments.quick else 3)
        self._save("baselines", rows, {"Models beside it": report.baseline_table(rows)})

    def growth(self) -> None:
        sizes = (200, 400) if self.arguments.quick else GROWTH_SIZES
        rows = growth(sizes, torch.get_num_threads(), _tell)
        measured = [row for row in rows if "error" not in row]
        for row in rows:
            if "error" in row:
                _tell(f"{row['entities']} entities: {row['error']}")
        slopes = exponents(measured)
        try:
            plot(measured, self.output / "growth.svg")
        except ImportError:
            _tell("no plot: matplotlib is not installed (it is part of the extra 'dev')")
        self._save("growth", rows, {
            "Growth with the number of entities": report.growth_table(measured, slopes)})

    def large(self) -> None:
        rows: list[dict] = []
        for name in self._names("last-fm", "mind", "alibaba"):
            if name not in SIZES:  # tiny, ml-100k
                continue
            origin = "real" if is_real(name, self.arguments.source) else "generated"
            _tell(f"an epoch on {name} ({origin} data)")
            rows.append(large_epoch(name, self.arguments.source.resolve(),
                                    torch.get_num_threads(), self.arguments.steps,
                                    self.arguments.rows, _tell))
            self._save("large", rows, {})
        if rows:
            self._save("large", rows, {"Epochs on large data": report.large_table(rows)})


def _write(path: Path, text: str) -> None:
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _tell(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks.

    Returns:
        0; 1 where the two forms of a pair disagree (nothing about it is reported then).
    """
    arguments = _parser().parse_args(argv)
    torch.set_num_threads(max(arguments.threads, 1))
    arguments.output = arguments.output.resolve()
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as scratch:
        runner = Runner(arguments, Path(scratch))
        os.chdir(scratch)  # RecBole leaves logs in the current folder
        try:
            runner.run()
        except Disagreement as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        finally:
            os.chdir(here)
    print(f"written to {runner.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
