"""Data: datasets that keep every interaction, protocols, samplers and loaders."""

from diffkg_recbole import needs_recbole  # noqa: F401
from diffkg_recbole.data.prepare import create_dataset, data_preparation

__all__ = ["create_dataset", "data_preparation"]
