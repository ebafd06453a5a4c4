"""The innermost training loop, without a wait for the device at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from recbole.trainer import Trainer
from recbole.trainer.trainer import AbstractTrainer
from recbole.utils import set_color
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace every gradient by its mean over the processes (a missing one counts as zero)."""
    world = torch.distributed.get_world_size()
    for parameter in parameters:
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad /= world


class WithoutWrapper(AbstractTrainer):
    """Start of a trainer without ``DistributedDataParallel``.

    RecBole wraps the model with CUDA device ids, which fails on CPUs; gradients are averaged by
    :func:`average_gradients` instead. Listed last among a trainer's bases.
    """

    def __init__(self, config: Any, model: torch.nn.Module) -> None:
        self.config = config
        self.model = model


class EpochLoop(Trainer):
    """RecBole's loop over batches, with the losses summed on the device.

    RecBole calls ``.item()`` on every loss and checks every step for NaN, which waits for the
    device each time; here both happen once per epoch.
    """

    def _train_epoch(
        self,
        train_data: Any,
        epoch_idx: int,
        loss_func: Callable | None = None,
        show_progress: bool = False,
    ) -> float | tuple[float, ...]:
        """Train one epoch; returns the sum over steps of the loss, or of each of its parts."""
        self.model.train()
        loss_func = loss_func or self.model.calculate_loss
        if not self.config["single_spec"] and train_data.shuffle:
            train_data.sampler.set_epoch(epoch_idx)
        batches = tqdm(
            train_data, total=len(train_data), ncols=100, disable=not show_progress,
            desc=set_color(f"Train {epoch_idx:>5}", "pink"),
        )
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.enable_scaler)
        total: Tensor | None = None
        many = False
        for interaction in batches:
            losses, many = self._step(interaction.to(self.device), loss_func, scaler)
            total = losses if total is None else total + losses
        if total is None:
            return 0.0
        self._check_nan(total.sum())
        return tuple(total.tolist()) if many else total.item()

    def _step(
        self, interaction: Any, loss_func: Callable, scaler: torch.amp.GradScaler
    ) -> tuple[Tensor, bool]:
        """One optimizer step; returns the detached losses and whether there were several."""
        self.optimizer.zero_grad()
        with torch.autocast(device_type=self.device.type, enabled=self.enable_amp):
            losses = loss_func(interaction)
        many = isinstance(losses, tuple)
        parts = losses if many else (losses,)
        scaler.scale(sum(parts)).backward()
        if not self.config["single_spec"]:
            average_gradients(self.model.parameters())
        if self.clip_grad_norm:
            scaler.unscale_(self.optimizer)
            clip_grad_norm_(self.model.parameters(), **self.clip_grad_norm)
        scaler.step(self.optimizer)
        scaler.update()
        return torch.stack([part.detach().reshape(()) for part in parts]), many
