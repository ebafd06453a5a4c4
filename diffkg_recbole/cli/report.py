"""``diffkg-recbole report``: turn finished runs into a leaderboard."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rich.console import Console

from diffkg_recbole.report import build_report, print_report, write_report
from diffkg_recbole.store import RunStore

_EXAMPLES = """\
examples:
  %(prog)s runs --out report
  %(prog)s runs --out report --dataset ml-100k --protocol clean --reference LightGCN
"""


def parser(prog: str) -> argparse.ArgumentParser:
    """Flags of the command."""
    made = argparse.ArgumentParser(
        prog=prog, epilog=_EXAMPLES, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Print a leaderboard of the runs in a store and write it as HTML, Markdown, "
                    "CSV, JSON and LaTeX.")
    made.add_argument("store", help="folder of runs")
    made.add_argument("--out", required=True, help="folder for the files; made if need be")
    made.add_argument("--title", default="Leaderboard", help="title (%(default)s)")
    made.add_argument("--metric", help="metric to sort and test by (recall@20 where measured)")
    made.add_argument("--reference", help="label of the row that others are tested against "
                                          "(the best model without a knowledge graph)")
    for name in ("dataset", "protocol", "model", "label"):
        made.add_argument(f"--{name}", action="append", help=f"only runs of this {name}; "
                                                             "may be given several times")
    made.add_argument("--split-seed", type=int, help="only runs of this split")
    made.add_argument("--quiet", action="store_true", help="print the file names only")
    return made


def main(argv: Sequence[str], prog: str = "diffkg-recbole report") -> int:
    """Returns 0; runs without a result are listed in the report."""
    arguments = parser(prog).parse_args(list(argv))
    names = ("dataset", "protocol", "model", "label", "split_seed")
    wanted = {name: getattr(arguments, name) for name in names
              if getattr(arguments, name) is not None}
    records, corrupt = RunStore(arguments.store).scan()
    chosen = [record for record in records if record.matches(**wanted)]
    with Console(stderr=True).status(f"comparing {len(chosen)} runs"):
        report = build_report(chosen, corrupt, title=arguments.title, metric=arguments.metric,
                              reference=arguments.reference)
        files = write_report(report, arguments.out)
    if not arguments.quiet:
        print_report(report)
        print()
    Console(soft_wrap=True).print("\n".join(map(str, files)), highlight=False, markup=False)
    return 0
