"""Writes ``docs/hyperparameters.md`` from the settings that the models declare."""

from __future__ import annotations

import sys
from dataclasses import MISSING, fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from diffkg_recbole.config.general import GeneralSettings
from diffkg_recbole.model import get_model
from diffkg_recbole.model.recbole_settings import SETTINGS, settings_of
from diffkg_recbole.settings import Settings

PAGE = Path(__file__).parent / "hyperparameters.md"
COMMAND = "python docs/make_hyperparameters.py"
_START = f"""\
# Settings of every model

Every value is checked before data are read; a wrong one ends in one sentence that names key, value
and range. Search ranges stand in `configs/tuning/`, settings that were searched for in
`configs/models/`. This page is made by `{COMMAND}`.
"""


def table(settings: type[Settings]) -> str:
    """Keys with default, range and meaning."""
    rules = settings.rules()
    rows = ["| key | default | allowed | what |", "|---|---|---|---|"]
    for field in fields(settings):  # type: ignore[arg-type]
        default = field.default_factory() if field.default is MISSING and (
            field.default_factory is not MISSING) else field.default
        rule = rules[field.name]
        shown = "required" if default is MISSING else f"`{default}`"
        symbol = f" ({rule.symbol})" if rule.symbol else ""
        text = f"{rule.description}{symbol}".replace("|", "\\|")
        rows.append(f"| `{field.name}` | {shown} | {rule.expected} | {text} |")
    return "\n".join(rows)


def page() -> str:
    """The whole page."""
    parts = [_START, "## Every model", table(GeneralSettings)]
    for model in ("DiffKG", "KGCL", *sorted(SETTINGS)):
        settings = settings_of(model, get_model(model))
        if settings is not None and settings.rules():
            parts += [f"## {model}", table(settings)]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
