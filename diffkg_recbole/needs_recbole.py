"""One sentence instead of a traceback where RecBole is missing or of another version.

Importing this module checks; the packages that need RecBole import it first. RecBole 1.2.1 pins
a Ray that has no wheel for Python 3.12 and newer, so there it is installed without its
dependencies, which this package declares in its place.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

from diffkg_recbole.errors import UserError

RECBOLE = "1.2.1"


class MissingRecBoleError(UserError, ImportError):
    """RecBole is not installed, or in another version; the message holds the line that helps."""


def install_line() -> str:
    """What installs RecBole for this interpreter."""
    without = "--no-deps " if sys.version_info >= (3, 12) else ""
    return f"{sys.executable or 'python'} -m pip install {without}recbole=={RECBOLE}"


def need_recbole() -> None:
    """Check that RecBole is there.

    Raises:
        MissingRecBoleError: it is not, or has another version.
    """
    try:
        found = version("recbole")
    except PackageNotFoundError:
        found = None
    if found != RECBOLE:
        problem = "RecBole is not installed" if found is None else f"RecBole {found} is installed"
        raise MissingRecBoleError(f"{problem}; diffkg-recbole needs RecBole {RECBOLE}: "
                                  f"{install_line()}")


need_recbole()
