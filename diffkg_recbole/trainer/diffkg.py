"""Training schedule of DiffKG: diffusion pass, rebuilding, recommender pass."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import torch
from recbole.utils import KGDataLoaderState
from torch import Tensor

from diffkg_recbole.parallel import (
    Part,
    gather_rows,
    rank_and_world,
    sum_gradients,
    sum_over_processes,
)
from diffkg_recbole.trainer.finite import LossSums
from diffkg_recbole.trainer.loop import EpochLoop, WithoutWrapper
from diffkg_recbole.trainer.progress import progress_bar
from diffkg_recbole.trainer.trainer import PluginTrainer


class DiffKGSchedule(EpochLoop):
    """One epoch (paper, algorithm 1): every ``diffusion_every`` epochs the denoiser is trained on
    all rows and the graph rebuilt; then the recommender is trained on the interactions."""

    model: Any
    denoiser_optimizer: torch.optim.Optimizer
    phase_report: dict[str, dict[str, float]]

    def _train_epoch(
        self, train_data: Any, epoch_idx: int, loss_func: Any = None, show_progress: bool = False
    ) -> Any:
        network = self.model.network
        self.phase_report = {"losses": {}, "seconds": {}}
        if epoch_idx % network.settings.diffusion_every == 0:
            start = perf_counter()
            self.train_denoiser(network.draws.row_order(network.n_rows), epoch_idx, show_progress)
            trained = perf_counter()
            self.rebuild_graph(epoch_idx, show_progress)
            self.phase_report["seconds"] = {
                "diffusion": trained - start, "rebuilding": perf_counter() - trained,
            }
        train_data.set_mode(KGDataLoaderState.RS)
        return super()._train_epoch(train_data, epoch_idx, loss_func, show_progress)

    def train_denoiser(self, order: Tensor, epoch_idx: int, show_progress: bool = False) -> None:
        """One pass over the rows of the graph, in the given order ([n_rows] entity ids)."""
        network = self.model.network
        network.train()
        target = network.collaborative_target()
        rank, world = rank_and_world(self.config)
        parts = network.diffusion_parts(len(order), rank, world)
        progress = progress_bar(len(parts), f"Diffuse {epoch_idx:>3}", show_progress)
        sums = LossSums(["elbo", "ckgc"])
        for part, (entity, rows) in zip(parts, network.diffusion_batches(order, parts)):
            self.denoiser_optimizer.zero_grad()
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.enable_amp):
                loss, elbo, ckgc = network.diffusion_loss(entity, rows, target, part)
            loss.backward()
            if world > 1:
                sum_gradients(network.denoiser.parameters(), part.weight)
            self.denoiser_optimizer.step()
            terms = torch.stack([elbo, ckgc.to(elbo)]) * part.weight
            sums.add(terms)
            progress.update()
        progress.close()
        if sums.total is not None:
            total = sums.total if world == 1 else sum_over_processes(sums.total)
            sums.check(total, epoch_idx, self.model)
            elbo_sum, ckgc_sum = total.tolist()
            self.phase_report["losses"] = {"elbo": elbo_sum, "ckgc": ckgc_sum}

    def rebuild_graph(self, epoch_idx: int, show_progress: bool = False) -> None:
        """Generate every row and make the denoised graph of this epoch, the same on all
        processes: they put together what each generated, and make the same keep draws."""
        network = self.model.network
        network.eval()
        rank, world = rank_and_world(self.config)
        if network.settings.sampling_steps > 0:  # the noise of a row depends on those before it
            rank, world = 0, 1
        part = Part.of(network.n_rows, rank, world)
        progress = progress_bar(
            part.end - part.begin, f"Rebuild {epoch_idx:>3}", show_progress)
        top = network.generated_top(progress.update, part)
        progress.close()
        if world > 1:
            top = gather_rows(top, network.n_rows)
        problem = network.rebuild(top)
        if problem:
            self.logger.warning(f"epoch {epoch_idx}: {problem}")


class DiffKGTrainer(PluginTrainer, DiffKGSchedule, WithoutWrapper):
    """Two Adam optimizers with one learning rate: the recommender's and the denoiser's."""

    def __init__(self, config: Any, model: Any) -> None:
        super().__init__(config, model)
        self.phase_report = {}
        self.denoiser_optimizer = torch.optim.Adam(
            model.network.denoiser.parameters(), lr=self.learning_rate, fused=True
        )

    def _build_optimizer(self, **kwargs: Any) -> torch.optim.Optimizer:
        kwargs.setdefault("params", self.model.recommender_parameters())
        if self.learner.lower() != "adam" or len(kwargs) > 1:
            return super()._build_optimizer(**kwargs)
        # One pass over parameters and states: three times as fast as Adam's loop on a CPU.
        return torch.optim.Adam(
            kwargs["params"], lr=self.learning_rate, weight_decay=self.weight_decay, fused=True)

    def training_state(self) -> dict[str, Any]:
        """The denoiser's optimizer and the model's generators."""
        return {"denoiser_optimizer": self.denoiser_optimizer.state_dict(),
                "draws": self.model.network.draws.state()}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`training_state`."""
        self.denoiser_optimizer.load_state_dict(state["denoiser_optimizer"])
        self.model.network.draws.load_state(state["draws"])
