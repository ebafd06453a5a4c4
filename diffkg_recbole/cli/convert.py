"""``diffkg-recbole convert``: the converters' command line under the program's name."""

from __future__ import annotations

from collections.abc import Sequence

from converters import cli


def main(argv: Sequence[str]) -> int:
    """Convert a data set; returns the exit status."""
    return cli.main(argv, program="diffkg-recbole convert")
