"""``diffkg-recbole tune``: search the hyper-parameters of a model on validation data."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diffkg_recbole.cli.shared import at_least_one
from diffkg_recbole.console import wide_console
from diffkg_recbole.errors import UserError
from diffkg_recbole.shipped_files import find_config
from diffkg_recbole.store import DEFAULT_STORE

if TYPE_CHECKING:
    from rich.console import Console

    from diffkg_recbole.tune.study import Study

_EXAMPLES = """\
examples:
  %(prog)s --model=KGAT --dataset=movie                search, show the best setting
  %(prog)s --model=KGAT --dataset=movie --write        and write configs/models/KGAT/movie.yaml
  %(prog)s --model=KGAT --dataset=movie --layers=[64]  a key with a value is not searched
  %(prog)s --model=BPR --dataset=ml-100k --space=my.yaml --trials=50 --jobs=2

a search space holds a line per key, {} none at all:
  learning_rate: {log: [1.0e-4, 1.0e-2]}    real, uniform in its logarithm
  dropout_prob: {uniform: [0.0, 0.5]}       real
  n_layers: {int: [1, 4]}                   whole, both ends included (log_int: in its logarithm)
  layers: {choice: [[64], [64, 32]]}        any of these

Every model has the budget of configs/tuning/budget.yaml and is trained with one seed. The test
part is never evaluated: a setting is chosen by its validation score alone. Stop a search at any
time; the same command goes on, and trials that failed are run again. Trials are Optuna's; the
study can be opened with Optuna and its dashboard.

RecBole's own HyperTuning and its Ray Tune script are not used: the first needs hyperopt <= 0.2.5
for its exhaustive search, the Ray that RecBole pins (2.6.3) cannot be imported beside NumPy 2,
and RecBole's Ray objective reports test metrics.

Exit status: 0, 1 if a trial failed, 2 if the files or the flags are wrong.
"""


def parser(prog: str) -> argparse.ArgumentParser:
    """Flags; every other ``--key=value`` is configuration."""
    p = argparse.ArgumentParser(
        prog=prog, description="Search the hyper-parameters of a model on validation data.",
        epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    p.add_argument("--model", "-m", help="name of the model")
    p.add_argument("--dataset", "-d", help="name of the dataset")
    p.add_argument("--trials", type=at_least_one, help="settings to try (the budget's)")
    p.add_argument("--space", type=Path,
                   help="search space, a YAML file (configs/tuning/<model>.yaml)")
    p.add_argument("--seed", help="of the search and of every training in it (the model's)")
    p.add_argument("--jobs", type=at_least_one, default=1,
                   help="trials at once; only with 1 the seed determines the trials (%(default)s)")
    p.add_argument("--write", nargs="?", const=True, metavar="FILE",
                   help="write the best setting (to configs/models/<model>/<dataset>.yaml)")
    p.add_argument("--config_files", default="", help="YAML files, or names of shipped "
                   "settings (KGAT/ml-100k), separated by blanks")
    p.add_argument("--store", type=Path, default=Path(DEFAULT_STORE),
                   help="folder of run folders, where the study lies (%(default)s)")
    return p


def main(argv: Sequence[str], prog: str = "diffkg-recbole tune") -> int:
    """Returns 0, or 1 if a trial failed."""
    arguments, words = parser(prog).parse_known_args(list(argv))
    import optuna

    from diffkg_recbole.tune.result import check_writable, default_path
    from diffkg_recbole.tune.search import make_search
    from diffkg_recbole.tune.study import Study

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if arguments.seed is not None:
        words.append(f"--seed={arguments.seed}")
    search = make_search(arguments.model, arguments.dataset, [
        str(find_config(name, "models")) for name in arguments.config_files.split()],
                         words, arguments.space, arguments.trials)
    target = None
    if arguments.write:
        target = (default_path(search.model, search.dataset) if arguments.write is True
                  else Path(arguments.write))
        check_writable(target)
    with Study(search, arguments.store, arguments.jobs) as study:
        return _search(study, target)


def _search(study: Study, target: Path | None) -> int:
    from diffkg_recbole.tune.trial_processes import run_trials
    from diffkg_recbole.tune.trials_view import SearchView

    console = wide_console()
    done = len(study.trials)
    console.print(_introduction(study), highlight=False, markup=False, soft_wrap=True)
    if done:
        console.print(f"{done} of {study.total} trials are there already", highlight=False)
    with SearchView(study, console) as view:
        run_trials(study, view)
    return _conclude(study, target, console)


def _introduction(study: Study) -> str:
    search, config = study.search, study.search.configuration
    noun = "trial" if study.total == 1 else "trials"
    searched = "\n".join(f"  {p.key}: {p}" for p in search.space.parameters)
    return (f"{search.model} on {search.dataset}, protocol {config['eval_protocol']}, seed "
            f"{search.seed}: {study.total} {noun} of at most {config['epochs']} epochs, "
            f"by {search.metric} on validation data\n"
            + (searched or "  nothing to search: one trial with the model's settings"))


def _conclude(study: Study, target: Path | None, console: Console) -> int:
    from diffkg_recbole.tune.result import train_command, write_settings
    from diffkg_recbole.tune.study import RESULT
    from diffkg_recbole.tune.trials_view import best_table, ends_reached, headline

    results = [trial.user_attrs[RESULT] for trial in study.trials]
    failed = [result["error"] for result in results if result["outcome"] == "failed"]
    if not study.ranked:
        last = failed[-1] if failed else "none of them finished"
        raise UserError(f"no trial gave a score: {last}")
    console.print()
    console.print(headline(study), highlight=False)
    console.print(best_table(study))
    for note in ends_reached(study.search, study.ranked[0]):
        console.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
    if target is not None:
        write_settings(study, target)
    lines = [f"study     {study.path}"]
    lines += [f"settings  {target}"] if target is not None else []
    lines += [f"next: {train_command(study, target)}"]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    if failed:
        print(f"{len(failed)} of {len(results)} trials failed; the same command tries them "
              "again", file=sys.stderr)
    return 1 if failed else 0
