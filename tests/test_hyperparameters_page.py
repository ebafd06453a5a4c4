"""docs/hyperparameters.md is what the declarations say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_is_made_from_the_declarations():
    found = importlib.util.spec_from_file_location("made", DOCS / "make_hyperparameters.py")
    made = importlib.util.module_from_spec(found)
    found.loader.exec_module(made)
    assert (DOCS / "hyperparameters.md").read_text(encoding="utf-8") == made.page(), made.COMMAND
