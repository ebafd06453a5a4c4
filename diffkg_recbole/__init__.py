"""DiffKG and other knowledge-graph recommenders for RecBole.

``diffkg_recbole.run(model=..., dataset=...)`` trains and evaluates as ``recbole.quick_start``
does. Importing the package imports neither torch nor RecBole and changes nothing in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from diffkg_recbole.config import Config
    from diffkg_recbole.quick_start import load_data_and_model, run, run_recbole

_WHERE = {
    "Config": "diffkg_recbole.config",
    "run": "diffkg_recbole.quick_start",
    "run_recbole": "diffkg_recbole.quick_start",
    "load_data_and_model": "diffkg_recbole.quick_start",
}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        import importlib

        from diffkg_recbole import needs_recbole  # noqa: F401  (one sentence where it is missing)

        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'diffkg_recbole' has no attribute '{name}'")


__all__ = ["Config", "load_data_and_model", "run", "run_recbole"]
