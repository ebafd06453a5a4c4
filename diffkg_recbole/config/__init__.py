"""Configuration: RecBole's, plus the plugin's models, files and checks."""

from diffkg_recbole.config.config import Config

__all__ = ["Config"]
