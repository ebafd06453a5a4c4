"""Trainers: RecBole's, with plain-data checkpoints, resuming and vectorised evaluation."""

from __future__ import annotations

from diffkg_recbole import needs_recbole  # noqa: F401

# isort: split
import importlib
from typing import Any

from recbole.trainer import Trainer
from recbole.utils import get_trainer as recbole_get_trainer

from diffkg_recbole.trainer.loop import EpochLoop, WithoutWrapper
from diffkg_recbole.trainer.trainer import PluginTrainer

# Model name -> module that defines a class `<Model>Trainer`.
PLUGIN_TRAINERS: dict[str, str] = {
    "DiffKG": "diffkg_recbole.trainer.diffkg",
    "KGCL": "diffkg_recbole.trainer.kgcl",
}


def get_trainer(model_type: Any, model_name: str) -> type:
    """Trainer class of a model: the plugin's, or RecBole's with the plugin's mix-in."""
    if model_name in PLUGIN_TRAINERS:
        module = importlib.import_module(PLUGIN_TRAINERS[model_name])
        return getattr(module, f"{model_name}Trainer")
    base = recbole_get_trainer(model_type, model_name)
    bases = (PluginTrainer, EpochLoop, WithoutWrapper) if base is Trainer else (
        PluginTrainer, base, EpochLoop, WithoutWrapper)
    return type(base.__name__, bases, {"__doc__": base.__doc__})


__all__ = ["EpochLoop", "PluginTrainer", "WithoutWrapper", "get_trainer"]
