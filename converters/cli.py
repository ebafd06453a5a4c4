"""Command line: ``python -m converters`` and ``diffkg-recbole convert``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from diffkg_recbole.errors import UserError
from diffkg_recbole.shortage import as_user_error

from .atomic_reader import Fields
from .convert import STEPS, Request, convert
from .export import STEPS as EXPORT_STEPS
from .export import ExportRequest, export
from .progress import steps
from .show import show_conversion, show_export

_DESCRIPTION = """\
Turn a recommendation data set with a knowledge graph into RecBole's atomic files, and back.

formats:
  authors   trnMat.pkl, tstMat.pkl (pickled SciPy matrices, users x items) and kg.txt
  kgat      train.txt, test.txt ("user item item ...") and kg_final.txt; valid.txt if there
  export    the way back: any RecBole knowledge data set to the authors' format
"""
_EXAMPLES = """\
examples:
  {program} authors downloads/Alibaba alibaba
  {program} kgat downloads/last-fm last-fm --valid-fraction 0.1 --split-seed 2020
  {program} export atomic_data/alibaba exported/alibaba
  {program} kgat --help

A conversion writes atomic_data/<name>/ (interactions, items, users, graph, links and
dataset.json with counts, checksums, the split's rule and an audit) and
configs/datasets/<name>.yaml. Then:
  python run_recbole_diffkg.py --dataset=<name>
Exit status: 0 done, 2 something in the input is wrong (one message says what).
"""
_SOURCE_HELP = {
    "authors": "folder with trnMat.pkl, tstMat.pkl and kg.txt",
    "kgat": "folder with train.txt, test.txt, kg_final.txt and, if any, valid.txt and the "
            "*_list.txt files",
}


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**32:
        raise ValueError
    return value


_count.__name__ = "count (an integer above 0)"  # argparse shows these names in its message
_seed.__name__ = "seed (an integer from 0 to 4294967295)"


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program, description=_DESCRIPTION, epilog=_EXAMPLES.format(program=program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="<format>", required=True)
    for name, words in (("authors", "the authors' files"), ("kgat", "KGAT's files")):
        _add_format(commands, name, f"convert {words} to atomic files")
    _add_export(commands)
    return parser


def _add_format(commands: argparse._SubParsersAction, name: str, text: str) -> None:
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("source", type=Path, help=_SOURCE_HELP[name])
    parser.add_argument("name", help="name of the data set, as in --dataset=<name>")
    parser.add_argument(
        "--valid-fraction", type=float, default=0.1, metavar="F",
        help="share of each user's training pairs that becomes the validation part (neither "
             "format has one, but for KGAT's valid.txt); default %(default)s")
    parser.add_argument("--split-seed", type=_seed, default=2020, metavar="N",
                        help="draws the validation part; default %(default)s")
    parser.add_argument("--output", type=Path, default=Path("atomic_data"), metavar="DIR",
                        help="folder that gets the folder <name>; default %(default)s")
    parser.add_argument("--configs", type=Path, default=Path("configs/datasets"), metavar="DIR",
                        help="folder that gets <name>.yaml; hand-written lines of an existing "
                             "file are kept; default %(default)s")
    if name == "kgat":
        parser.add_argument("--users", type=_count, metavar="N",
                            help="number of users, if user_list.txt does not say")
        parser.add_argument("--items", type=_count, metavar="N",
                            help="number of items, if item_list.txt does not say and the "
                                 "last item is not in train.txt")
    _add_common(parser)


def _add_export(commands: argparse._SubParsersAction) -> None:
    text = "turn atomic files into the authors' files"
    parser = commands.add_parser(
        "export", help=text, description=text[0].upper() + text[1:] + ". A validation part "
        "goes back into the training matrix. Tokens that are not the authors' ids are numbered "
        "anew, and *_list.txt files say how.",
    )
    parser.add_argument("source", type=Path, help="folder of a RecBole data set, <name>/<name>.kg")
    parser.add_argument("target", type=Path, help="folder to write")
    parser.add_argument("--parts", nargs="+", metavar="PART", default=None,
                        help="names of the interaction parts, the last one is the test part"
                             "; default: the undivided .inter, else train, valid and test")
    parser.add_argument("--test-fraction", type=float, default=0.2, metavar="F",
                        help="share of each user's pairs that becomes test, for one undivided "
                             ".inter; default %(default)s")
    parser.add_argument("--split-seed", type=_seed, default=2020, metavar="N",
                        help="draws that share; default %(default)s")
    parser.add_argument("--user-field", default="user_id", metavar="COLUMN",
                        help="column of the users; default %(default)s")
    parser.add_argument("--item-field", default="item_id", metavar="COLUMN",
                        help="column of the items; default %(default)s")
    _add_common(parser)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overwrite", action="store_true",
                        help="replace an earlier result of the same name")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _run_convert(arguments: argparse.Namespace, console: Console) -> None:
    request = Request(
        format=arguments.command, source=arguments.source, name=arguments.name,
        output=arguments.output, configurations=arguments.configs,
        valid_fraction=arguments.valid_fraction, split_seed=arguments.split_seed,
        overwrite=arguments.overwrite,
        n_users=getattr(arguments, "users", None), n_items=getattr(arguments, "items", None),
    )
    with steps(console, STEPS) as step:
        outcome = convert(request, step)
    shipped = Path(__file__).parents[1] / "configs" / "datasets"
    show_conversion(console, outcome, shipped.resolve() == request.configurations.resolve())


def _run_export(arguments: argparse.Namespace, console: Console) -> None:
    request = ExportRequest(
        source=arguments.source, target=arguments.target, parts=arguments.parts,
        test_fraction=arguments.test_fraction, split_seed=arguments.split_seed,
        overwrite=arguments.overwrite,
        fields=Fields(user=arguments.user_field, item=arguments.item_field),
    )
    with steps(console, EXPORT_STEPS) as step:
        outcome = export(request, step)
    show_export(console, outcome)


def main(argv: Sequence[str] | None = None, program: str = "python -m converters") -> int:
    """Run one command.

    Args:
        argv: words of the command line without the program; None = ``sys.argv``.
        program: name of the program, for its help.

    Returns:
        exit status: 0, 2 for anything wrong in the input, 130 when interrupted.
    """
    try:
        arguments = _parser(program).parse_args(argv)
    except SystemExit as stop:  # argparse has printed help or its message
        return int(stop.code or 0)
    console = Console(quiet=arguments.quiet)
    run = _run_export if arguments.command == "export" else _run_convert
    try:
        run(arguments, console)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except ConnectionError:
        raise  # the reader of the output has gone
    except (OSError, MemoryError) as error:
        print(f"error: {as_user_error(error) or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0
