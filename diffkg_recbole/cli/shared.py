"""What the sub-commands that run for long have in common."""

from __future__ import annotations

import argparse


def at_least_one(text: str) -> int:
    """Type of a flag: a whole number of at least 1."""
    number = int(text) if text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number of at least 1")
    return number
