"""Configuration: RecBole's, plus the plugin's models, files and checks."""

from diffkg_recbole import needs_recbole  # noqa: F401
from diffkg_recbole.config.config import Config

__all__ = ["Config"]
