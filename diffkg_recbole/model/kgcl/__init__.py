"""KGCL: knowledge graph contrastive learning (SIGIR 2022), in the authors' later version."""

from diffkg_recbole.model.kgcl.draws import KGCLDraws
from diffkg_recbole.model.kgcl.network import KGCLNetwork
from diffkg_recbole.model.kgcl.recommender import KGCL
from diffkg_recbole.model.kgcl.settings import KGCLSettings

__all__ = ["KGCL", "KGCLDraws", "KGCLNetwork", "KGCLSettings"]
