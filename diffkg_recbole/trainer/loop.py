"""The innermost training loop, without a wait for the device at every step."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction
from recbole.trainer import Trainer
from recbole.trainer.trainer import AbstractTrainer
from recbole.utils import WandbLogger, get_local_time
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from diffkg_recbole.errors import DivergedError, UserError
from diffkg_recbole.evaluation import RankingCollector, RankingEvaluator
from diffkg_recbole.parallel import Part, doing, start_alike, sum_gradients, sum_over_processes
from diffkg_recbole.trainer.checkpoint import random_state, restore_random_state
from diffkg_recbole.trainer.finite import LossSums, largest_norm
from diffkg_recbole.trainer.progress import progress_bar


class NoBoard:
    """Stands for TensorBoard's writer where the curves have no folder to go to."""

    def add_scalar(self, *_: Any, **__: Any) -> None:
        """Nothing."""

    def add_hparams(self, *_: Any, **__: Any) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class WithoutWrapper(AbstractTrainer):
    """Start of a trainer without ``DistributedDataParallel``.

    RecBole wraps the model with CUDA device ids, which fails on CPUs; here the processes start
    from the same parameters and :func:`.sum_gradients` keeps them alike. Listed last among a
    trainer's bases.
    """

    def __init__(self, config: Any, model: torch.nn.Module) -> None:
        self.config = config
        self.model = model
        if not config["single_spec"]:
            start_alike(model)

    def set_reduce_hook(self) -> None:
        """Called in data-parallel runs by RecBole's trainers with a training loop of their own.

        Raises:
            UserError: always; nothing would put the gradients together.
        """
        raise UserError(
            f"{self.config['model']} cannot be trained data parallel: RecBole's trainer of this "
            f"model has a training loop of its own; run it without --nproc"
        )


class EpochLoop(Trainer):
    """RecBole's loop over batches, with the losses summed on the device.

    RecBole calls ``.item()`` on every loss and checks every step for NaN, which waits for the
    device each time; here both happen once per epoch.

    Data parallel, a process computes the loss of its part of each batch. Losses and gradients are
    added up with the weights of :class:`.Part`, which is exact for every term that is a mean over
    the batch's rows or does not depend on them. A model names the terms that are sums over the
    rows in ``summed_losses`` (some of its ``loss_names``); they are scaled to count as sums over
    the whole batch. RecBole's models name none, so that their sums weigh as little as in
    RecBole's own data-parallel runs.
    """

    _epoch: int | None = None  # trained last

    def __init__(self, config: Any, model: Any) -> None:
        """As RecBole's, without the folders and files that it makes in the working folder."""
        super(Trainer, self).__init__(config, model)
        self.logger = logging.getLogger()
        self.tensorboard: Any = NoBoard()
        self.wandblogger = WandbLogger(config)
        for key in ("learner", "learning_rate", "epochs", "stopping_step", "clip_grad_norm",
                    "valid_metric_bigger", "device", "checkpoint_dir", "enable_amp",
                    "weight_decay", "eval_type"):
            setattr(self, key, config[key])
        self.eval_step: int = min(config["eval_step"], self.epochs)
        self.valid_metric = config["valid_metric"].lower()
        self.test_batch_size = config["eval_batch_size"]
        self.gpu_available = torch.cuda.is_available() and config["use_gpu"]
        self.enable_scaler = torch.cuda.is_available() and config["enable_scaler"]
        self.saved_model_file = os.path.join(
            self.checkpoint_dir, f"{config['model']}-{get_local_time()}.pth")
        self.start_epoch = self.cur_step = 0
        self.best_valid_score = -np.inf if self.valid_metric_bigger else np.inf
        self.best_valid_result: dict | None = None
        self.train_loss_dict: dict = {}
        self.optimizer = self._build_optimizer()
        self.eval_collector = RankingCollector(config)
        self.evaluator = RankingEvaluator(config, self.eval_collector)
        self.item_tensor = self.tot_item_num = None

    def _train_epoch(
        self,
        train_data: Any,
        epoch_idx: int,
        loss_func: Callable | None = None,
        show_progress: bool = False,
    ) -> float | tuple[float, ...]:
        """Train one epoch; returns the sum over steps of the loss, or of each of its parts."""
        self.model.train()
        self._epoch = epoch_idx
        loss_func = loss_func or self.model.calculate_loss
        if not self.config["single_spec"]:
            _draw_alike()
        batches = progress_bar(
            len(train_data), f"Train {epoch_idx:>5}", show_progress, train_data)
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.enable_scaler)
        sums = LossSums(self._term_names(loss_func))
        many = False
        for interaction in batches:
            part = None if self.config["single_spec"] else train_data.part
            losses, many = self._step(_to_device(interaction, self.device), loss_func, scaler, part)
            sums.add(losses)
        if sums.total is None:
            return 0.0
        total = sums.total
        if not self.config["single_spec"]:
            total = sum_over_processes(total)
        sums.check(total, epoch_idx, self.model)
        return tuple(total.tolist()) if many else total.item()

    def _term_names(self, loss_func: Callable) -> list[str]:
        """Names of what a loss function returns."""
        name = getattr(loss_func, "__name__", "loss")
        own = getattr(self.model, "loss_names", None)
        if name != "calculate_loss" or own is None:
            return [name.replace("calculate_", "")]
        return list(own)

    def _check_nan(self, loss: Tensor) -> None:
        """As in RecBole, whose trainers with a loop of their own call it at every step."""
        if not bool(loss.isfinite().all()):
            raise DivergedError("the training diverged: the loss is infinite or not a number; "
                                + largest_norm(self.model))

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """As in RecBole; scores that are not finite end it, with the epoch and the norm."""
        try:
            return super().evaluate(*args, **kwargs)
        except DivergedError as error:
            when = "" if self._epoch is None else f"after epoch {self._epoch}, "
            raise DivergedError(f"{when}{error}; {largest_norm(self.model)}") from None

    def _full_sort_batch_eval(self, batched_data: Any) -> tuple:
        """RecBole's scores; no more of them may be infinite than are masked: [PAD] and history."""
        batch = super()._full_sort_batch_eval(batched_data)
        history, scores = batched_data[1], batch[1]
        masked = len(scores) + (0 if history is None else len(history[1]))
        self.eval_collector.note_scores((~scores.isfinite()).sum() - masked)
        return batch

    def _neg_sample_batch_eval(self, batched_data: Any) -> tuple:
        """RecBole's scores; items that were not drawn are -inf."""
        batch = super()._neg_sample_batch_eval(batched_data)
        self.eval_collector.note_scores((batch[1].isnan() | (batch[1] == torch.inf)).sum())
        return batch

    def _step(
        self,
        interaction: Any,
        loss_func: Callable,
        scaler: torch.amp.GradScaler,
        part: Part | None = None,
    ) -> tuple[Tensor, bool]:
        """One optimizer step.

        Args:
            part: the batch's rows that ``interaction`` holds; None in a single process.

        Returns:
            the detached losses, weighted by the part, and whether there were several.
        """
        self.optimizer.zero_grad()
        with torch.autocast(device_type=self.device.type, enabled=self.enable_amp), doing(part):
            losses = loss_func(interaction)
        many = isinstance(losses, tuple)
        terms = losses if many else (losses,)
        if part is not None:
            terms = self._as_means(terms, part)
        scaler.scale(sum(terms)).backward()
        detached = torch.stack([term.detach().reshape(()) for term in terms])
        if part is not None:
            parameters = (p for group in self.optimizer.param_groups for p in group["params"])
            sum_gradients(parameters, part.weight)
            detached *= part.weight
        if self.clip_grad_norm:
            scaler.unscale_(self.optimizer)
            clip_grad_norm_(self.model.parameters(), **self.clip_grad_norm)
        scaler.step(self.optimizer)
        scaler.update()
        return detached, many

    def _as_means(self, terms: tuple[Tensor, ...], part: Part) -> tuple[Tensor, ...]:
        summed = getattr(self.model, "summed_losses", ())
        names = getattr(self.model, "loss_names", ())
        if not summed or len(names) != len(terms):
            return terms
        return tuple(term / part.share if name in summed else term
                     for name, term in zip(names, terms))


def _draw_alike() -> None:
    """Put the global generators of all processes into the state of the first one's: a model may
    have drawn for each of its rows, and the processes' parts may differ in length."""
    state = [random_state()]
    torch.distributed.broadcast_object_list(state)
    restore_random_state(state[0])


def _to_device(interaction: Any, device: torch.device) -> Any:
    """The batch on the device, without waiting for the copies."""
    columns = interaction.interaction.items()
    return Interaction({name: column.to(device, non_blocking=True) for name, column in columns})
