"""The command ``diffkg-recbole``: one sub-command, one module of this package."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence

from diffkg_recbole import __version__
from diffkg_recbole.errors import UserError
from diffkg_recbole.text import near_names

COMMANDS = {
    "train": "train and evaluate one model",
    "convert": "turn the authors' or KGAT's files into atomic files, and back",
    "compare": "run the models, seeds and controls of a comparison file",
    "tune": "search hyper-parameters on validation data",
    "runs": "list, show and verify finished runs",
    "report": "turn finished runs into a leaderboard",
}


def usage(program: str = "diffkg-recbole") -> str:
    """Help text of the command."""
    lines = [f"  {name:<9} {text}" for name, text in COMMANDS.items()]
    return "\n".join([
        f"diffkg-recbole {__version__}", "",
        f"usage: {program} <command> [options]", "", *lines, "",
        f"{program} <command> --help says more.",
    ])


def guarded(command: Callable[[], int]) -> int:
    """Run a command; a :class:`UserError` becomes one line on stderr and its exit status."""
    try:
        return command()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141


def run_command(name: str, words: Sequence[str], prog: str) -> int:
    """Run one of :data:`COMMANDS`; returns the exit status.

    Args:
        prog: what the user typed to get here, for help texts.
    """
    def command() -> int:
        importlib.import_module("diffkg_recbole.needs_recbole")
        return importlib.import_module(f"diffkg_recbole.cli.{name}").main(words, prog)

    return guarded(command)


def main(argv: Sequence[str] | None = None, program: str = "diffkg-recbole") -> int:
    """Entry point; returns the exit status (0, 1 for failed runs, 2 for user errors)."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage(program))
        return 0
    if words[0] in ("-V", "--version", "version"):
        print(__version__)
        return 0
    name, rest = words[0], words[1:]
    if name not in COMMANDS:
        hint = near_names(name, COMMANDS)
        print(f"error: there is no command '{name}'{hint}\n\n{usage(program)}", file=sys.stderr)
        return 2
    return run_command(name, rest, f"{program} {name}")
