"""Training schedule of KGCL: views, recommender pass, TransE pass."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import torch
from recbole.utils import KGDataLoaderState

from diffkg_recbole.model.kgcl import KGCL, KGCLNetwork
from diffkg_recbole.trainer.finite import LossSums
from diffkg_recbole.trainer.loop import EpochLoop, WithoutWrapper
from diffkg_recbole.trainer.progress import progress_bar
from diffkg_recbole.trainer.trainer import PluginTrainer


class KGCLSchedule(EpochLoop):
    """One epoch: draw the two views, train on the interactions, then train TransE on the graph.

    The triples are the graph's own edges, both directions, each once, with a tail that is
    uniform over the entities the head is not joined to. RecBole's triple loader is not used: it
    knows no inverse relations and draws outside the model's generators.
    """

    network: KGCLNetwork
    translation_optimizer: torch.optim.Optimizer
    phase_report: dict[str, dict[str, float]]

    def _train_epoch(
        self, train_data: Any, epoch_idx: int, loss_func: Any = None, show_progress: bool = False
    ) -> Any:
        start = perf_counter()
        self.network.refresh_views()
        drawn = perf_counter()
        train_data.set_mode(KGDataLoaderState.RS)
        losses = super()._train_epoch(train_data, epoch_idx, loss_func, show_progress)
        trained = perf_counter()
        translation = self.train_translation(epoch_idx, show_progress)
        self.phase_report = {
            "losses": {"transe": translation},
            "seconds": {"views": drawn - start, "transe": perf_counter() - trained},
        }
        return losses

    def train_translation(self, epoch_idx: int, show_progress: bool = False) -> float:
        """One TransE epoch; returns the sum of the loss over its steps.

        Every process of a data-parallel run makes the same draws and thus the same steps.
        """
        network = self.network
        batch_size = self.config["train_batch_size"]
        progress = progress_bar(
            -(-network.graph.n_edges // batch_size), f"TransE {epoch_idx:>4}", show_progress,
            network.triple_batches(batch_size))
        sums = LossSums(["transe"])
        for batch in progress:
            self.translation_optimizer.zero_grad()
            loss = network.translation_loss(batch)
            loss.backward()
            self.translation_optimizer.step()
            sums.add(loss.detach().reshape(1))
        if sums.total is None:
            return 0.0
        sums.check(sums.total, epoch_idx, self.model)
        return sums.total.item()


class KGCLTrainer(PluginTrainer, KGCLSchedule, WithoutWrapper):
    """Two Adam optimizers with one learning rate: all parameters on the interactions, and the
    embeddings alone on the triples."""

    def __init__(self, config: Any, model: KGCL) -> None:
        super().__init__(config, model)
        self.network = model.network
        self.phase_report = {}
        self.translation_optimizer = torch.optim.Adam(
            self.network.translation_parameters(), lr=self.learning_rate, fused=True
        )

    def training_state(self) -> dict[str, Any]:
        """TransE's optimizer and the model's generators."""
        return {"translation_optimizer": self.translation_optimizer.state_dict(),
                "draws": self.network.draws.state()}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`training_state`."""
        self.translation_optimizer.load_state_dict(state["translation_optimizer"])
        self.network.draws.load_state(state["draws"])
