"""``diffkg-recbole convert``: the converters' command line under the program's name."""

from __future__ import annotations

from collections.abc import Sequence

try:
    from diffkg_recbole.converters import cli  # in a wheel, which claims no name but its own
except ImportError:
    from converters import cli  # beside the package, in a checkout


def main(argv: Sequence[str], prog: str = "diffkg-recbole convert") -> int:
    """Convert a data set; returns the exit status."""
    return cli.main(argv, program=prog)
