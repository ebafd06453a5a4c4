"""KGCL as RecBole sees it: ids with [PAD], batches as Interactions."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from diffkg_recbole.model.compact_recommender import CompactRecommender, compact_graph
from diffkg_recbole.model.kgcl.draws import KGCLDraws
from diffkg_recbole.model.kgcl.network import KGCLNetwork
from diffkg_recbole.model.kgcl.settings import KGCLSettings
from diffkg_recbole.model.propagation import BipartiteGraph


class KGCL(CompactRecommender):
    """KGCL (Yang, Huang, Xia, Li: "Knowledge Graph Contrastive Learning for Recommendation",
    SIGIR 2022), as the authors' later program computes it.

    That is the program behind their numbers for Last-FM, MIND and Alibaba-iFashion; two other
    public ones give other results (mathematics 7.1).
    :class:`~diffkg_recbole.model.kgcl.network.KGCLNetwork` lists what is computed.

    Args:
        config: configuration.
        dataset: training part of a knowledge dataset.
    """

    settings_class = KGCLSettings
    loss_names = ("bpr", "l2", "contrastive")
    summed_losses = ("bpr", "contrastive")

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        user, item = (ids.to(self.device) for ids in self.training_pairs(dataset))
        interactions = BipartiteGraph(user, item, self.n_users - 1, self.n_items - 1)
        self.network = KGCLNetwork(
            compact_graph(dataset).to(self.device),
            interactions,
            KGCLSettings.from_config(config),
            KGCLDraws(config["seed"], self.device),
        )

    def representations(self) -> tuple[Tensor, Tensor]:
        """Users and items of the whole graphs, without dropout."""
        return self.network()
