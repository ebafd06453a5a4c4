"""Models: the plugin's own, and RecBole's where the plugin has none of that name."""

from __future__ import annotations

from diffkg_recbole import needs_recbole  # noqa: F401

# isort: split
import difflib
import importlib
from pathlib import Path

import recbole

from diffkg_recbole.errors import UserError
from diffkg_recbole.model.baselines import BASELINES

# Model name -> module that defines a class of that name.
PLUGIN_MODELS: dict[str, str] = {
    "DiffKG": "diffkg_recbole.model.diffkg",
    "KGCL": "diffkg_recbole.model.kgcl",
    **BASELINES,
}

_RECBOLE = Path(recbole.__file__).parent
_RECBOLE_PACKAGES = (
    "general_recommender", "knowledge_aware_recommender", "context_aware_recommender",
    "sequential_recommender",
)


def _recbole_module(name: str) -> str | None:
    """Module of a RecBole model, found by its file: importing the packages one after another
    would run code of unrelated models (one switches on torch's anomaly detection)."""
    for package in _RECBOLE_PACKAGES:
        if (_RECBOLE / "model" / package / f"{name.lower()}.py").is_file():
            return f"recbole.model.{package}.{name.lower()}"
    return None


def _near_names(name: str) -> list[str]:
    """Model names like ``name``, in their own spelling."""
    names = {plugin.lower(): plugin for plugin in PLUGIN_MODELS}
    for package in _RECBOLE_PACKAGES[:2]:
        folder = importlib.import_module(f"recbole.model.{package}")
        classes = (n for n, value in vars(folder).items() if isinstance(value, type))
        names.update({n.lower(): n for n in classes})
    near = difflib.get_close_matches(name.lower(), names, n=4, cutoff=0.4)
    return [names[n] for n in near]


def get_model(name: str) -> type:
    """Class of a model by its name.

    Raises:
        UserError: no such model; the message lists the near names.
    """
    path = PLUGIN_MODELS.get(name) or _recbole_module(name)
    found = getattr(importlib.import_module(path), name, None) if path else None
    if found is None:
        near = ", ".join(_near_names(name))
        raise UserError(f"there is no model named '{name}'" + (f"; near: {near}" if near else ""))
    return found
