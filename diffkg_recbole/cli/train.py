"""``diffkg-recbole train``: RecBole's ``run_recbole.py`` with this plugin's models and data."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from diffkg_recbole.store import DEFAULT_STORE

_EXAMPLES = """\
examples:
  %(prog)s                                        DiffKG on RecBole's ml-100k sample
  %(prog)s --model=KGAT --dataset=movie           another model, a converted dataset
  %(prog)s --config_files=DiffKG/last-fm --dataset=last-fm      shipped settings, by name
  %(prog)s --epochs=5 --learning_rate=0.01        any RecBole or model key as --key=value
"""


def parser(prog: str = "diffkg-recbole train") -> argparse.ArgumentParser:
    """Flags of RecBole's ``run_recbole.py``; every other ``--key=value`` is configuration."""
    p = argparse.ArgumentParser(
        prog=prog, description="Train and evaluate one model.", epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )
    p.add_argument("--model", "-m", default=None, help="name of the model (DiffKG)")
    p.add_argument("--dataset", "-d", default=None, help="name of the dataset (ml-100k)")
    p.add_argument("--config_files", default=None, help="YAML files, or names of shipped "
                   "settings (KGAT/ml-100k), separated by blanks")
    p.add_argument("--nproc", type=int, default=1, help="data-parallel processes on this machine")
    p.add_argument("--ip", default="localhost", help="address of the first machine")
    p.add_argument("--port", default=None,
                   help="its port; not needed on a single machine (several: 5678)")
    p.add_argument("--world_size", type=int, default=-1, help="processes on all machines")
    p.add_argument("--group_offset", type=int, default=0, help="rank of this machine's first")
    p.add_argument("--store", default=DEFAULT_STORE, help="folder of run folders (%(default)s)")
    p.add_argument("--fresh", action="store_true",
                   help="run anew, even if this run is finished or can be resumed")
    p.add_argument("--force", action="store_true",
                   help="go on although the run needs more memory than is free")
    return p


def main(argv: Sequence[str], prog: str = "diffkg-recbole train") -> int:
    """Run; returns the exit status."""
    arguments, rest = parser(prog).parse_known_args(list(argv))
    # torch and RecBole are imported for a real run only, not for --help
    from diffkg_recbole.cli.training_screen import TrainingScreen
    from diffkg_recbole.config.plain_yaml import read_yaml
    from diffkg_recbole.quick_start import run
    from diffkg_recbole.shipped_files import find_config

    files = [str(find_config(name, "models")) for name in (arguments.config_files or "").split()]
    if arguments.force:
        rest.append("--memory_check=False")
    named = {key for file in files for key in read_yaml(file)[0]}
    run(
        arguments.model or (None if "model" in named else "DiffKG"),
        arguments.dataset or (None if "dataset" in named else "ml-100k"),
        files,
        nproc=arguments.nproc, world_size=arguments.world_size, ip=arguments.ip,
        port=arguments.port, group_offset=arguments.group_offset,
        command_line=rest, store=arguments.store, resume=not arguments.fresh,
        screen=TrainingScreen(),
    )
    return 0
