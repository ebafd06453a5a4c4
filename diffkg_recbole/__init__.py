"""DiffKG and other knowledge-graph recommenders for RecBole.

``diffkg_recbole.run(model=..., dataset=...)`` trains and evaluates as ``recbole.quick_start``
does. Importing the package imports neither torch nor RecBole and changes nothing in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from diffkg_recbole.config import Config
    from diffkg_recbole.errors import UserError
    from diffkg_recbole.quick_start import (
        evaluate_checkpoint,
        load_data_and_model,
        run,
        run_recbole,
    )
    from diffkg_recbole.screen import Screen
    from diffkg_recbole.store import RunRecord, RunStore

_WHERE = {
    "Config": "diffkg_recbole.config",
    "RunRecord": "diffkg_recbole.store",
    "RunStore": "diffkg_recbole.store",
    "Screen": "diffkg_recbole.screen",
    "UserError": "diffkg_recbole.errors",
    "evaluate_checkpoint": "diffkg_recbole.quick_start",
    "load_data_and_model": "diffkg_recbole.quick_start",
    "run": "diffkg_recbole.quick_start",
    "run_recbole": "diffkg_recbole.quick_start",
}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        import importlib

        from diffkg_recbole import needs_recbole  # noqa: F401  (one sentence where it is missing)

        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'diffkg_recbole' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


__all__ = ["Config", "RunRecord", "RunStore", "Screen", "UserError", "evaluate_checkpoint",
           "load_data_and_model", "run", "run_recbole"]
