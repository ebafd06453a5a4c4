"""DiffKG as RecBole sees it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from diffkg_recbole.model.compact_recommender import CompactRecommender, compact_graph
from diffkg_recbole.model.diffkg.network import DiffKGNetwork
from diffkg_recbole.model.diffkg.settings import DiffKGSettings
from diffkg_recbole.model.draws import Draws


class DiffKG(CompactRecommender):
    """DiffKG (Jiang, Yang, Xia, Huang: "DiffKG: Knowledge Graph Diffusion Model for
    Recommendation", WSDM 2024, arXiv 2312.16890).

    The mathematics is in :class:`~diffkg_recbole.model.diffkg.network.DiffKGNetwork`.

    Args:
        config: configuration.
        dataset: training part of a knowledge dataset.
    """

    settings_class = DiffKGSettings
    loss_names = ("bpr", "l2", "contrastive")
    summed_losses = ("bpr",)

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.network = DiffKGNetwork(
            self.n_users - 1, self.n_items - 1, compact_graph(dataset),
            *self.training_pairs(dataset), DiffKGSettings.from_config(config),
            Draws(config["seed"], self.device),
        )

    @staticmethod
    def variant_of(config: Any) -> str | None:
        """What of the full method a configuration replaces, for labels."""
        return DiffKGSettings.from_config(config).variant()

    def epoch_report(self) -> dict[str, Any]:
        """Diagnostics of the rebuilt graph after an epoch."""
        return {"graph": self.network.rebuild_report}

    def recommender_parameters(self) -> list[nn.Parameter]:
        """Parameters of the trainer's first optimizer."""
        return self.network.recommender_parameters()

    def representations(self) -> tuple[Tensor, Tensor]:
        """Users and items under the main view's graph."""
        return self.network.represent(self.network.main_graph())
