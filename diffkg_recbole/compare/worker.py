"""One run of a comparison in a process of its own, which ends when its parent does.

``python -m diffkg_recbole.compare.worker [--watch] <flags of diffkg-recbole train>``
"""

from __future__ import annotations

import runpy
import sys

from diffkg_recbole.processes import watch_parent


def main(argv: list[str]) -> None:
    """Run the command ``train`` as a shell would; ends with its exit status."""
    if argv[:1] == ["--watch"]:
        argv = argv[1:]
        watch_parent()
    sys.argv = ["diffkg-recbole", "train", *argv]  # what the run records as its command
    runpy.run_module("diffkg_recbole", run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
