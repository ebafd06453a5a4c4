"""One run of a comparison in a process of its own, which ends when its parent does.

``python -m diffkg_recbole.compare.worker [--watch] <flags of diffkg-recbole train>``
"""

from __future__ import annotations

import sys

from diffkg_recbole.processes import watch_parent


def main(argv: list[str]) -> int:
    """Train as the command line would; returns the exit status."""
    if argv[:1] == ["--watch"]:
        argv = argv[1:]
        watch_parent()
    sys.argv = ["diffkg-recbole", "train", *argv]  # what the run records as its command
    from diffkg_recbole.cli import main as command

    return command(["train", *argv])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
