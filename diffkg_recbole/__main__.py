"""``python -m diffkg_recbole`` is the command ``diffkg-recbole``."""

import sys

from diffkg_recbole.cli import main

sys.exit(main(program="python -m diffkg_recbole"))
