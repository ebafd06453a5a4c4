"""DiffKG: knowledge-graph diffusion for recommendation (WSDM 2024)."""

from diffkg_recbole.model.diffkg.network import DiffKGNetwork
from diffkg_recbole.model.diffkg.recommender import DiffKG
from diffkg_recbole.model.diffkg.settings import DiffKGSettings

__all__ = ["DiffKG", "DiffKGNetwork", "DiffKGSettings"]
