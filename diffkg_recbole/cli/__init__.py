"""The command ``diffkg-recbole``: one sub-command, one module of this package."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence

from diffkg_recbole import __version__
from diffkg_recbole.errors import UserError
from diffkg_recbole.processes import termination_interrupts
from diffkg_recbole.shortage import as_user_error
from diffkg_recbole.text import ASCII_FORM, near_names

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
    """Run a command and return its exit status.

    What the user can mend becomes one line on stderr and status 2: a :class:`UserError`, a full
    disk or another ``OSError``, want of memory. Ctrl-C and a termination are 130; a reader of the
    output that has gone, as in ``| head``, is 141. A character that the terminal's encoding lacks
    is written in ASCII.
    """
    logging.raiseExceptions = False  # a log that cannot be written shall not end what it tells of
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ASCII_FORM)
    try:
        with termination_interrupts():
            try:
                return command()
            finally:  # also after argparse's help
                sys.stdout.flush()  # here, where an error has its sentence
    except UserError as error:
        return _say(f"error: {error}", error.exit_status)
    except KeyboardInterrupt:
        return _say("interrupted; the same command goes on where it stopped", 130)
    except BrokenPipeError:
        _drop_output()
        return 141
    except Exception as error:
        _drop_output()
        told = as_user_error(error, "standard output")  # what writes files names them
        if told is None:
            raise
        return _say(f"error: {told}", told.exit_status)


def _say(text: str, status: int) -> int:
    with contextlib.suppress(OSError):  # nobody listens
        print(text, file=sys.stderr)
    return status


def _drop_output() -> None:
    """Drop what the standard output still holds if it cannot be written, or Python would stumble
    over it again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run_command(name: str, words: Sequence[str], prog: str) -> int:
    """Run one of :data:`COMMANDS`; returns the exit status.

    Args:
        prog: what the user typed to get here, for help texts.
    """
    return guarded(lambda: _command(name, words, prog))


def _command(name: str, words: Sequence[str], prog: str) -> int:
    importlib.import_module("diffkg_recbole.needs_recbole")
    return importlib.import_module(f"diffkg_recbole.cli.{name}").main(words, prog)


def main(argv: Sequence[str] | None = None, program: str = "diffkg-recbole") -> int:
    """Entry point; returns the exit status (0, 1 for failed runs, 2 for user errors)."""
    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _dispatch(words, program))


def _dispatch(words: list[str], program: str) -> int:
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
    return _command(name, rest, f"{program} {name}")
