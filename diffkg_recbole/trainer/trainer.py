"""What the plugin changes in every RecBole trainer: evaluation, checkpoints, resuming, a log."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from recbole.trainer import Trainer

from diffkg_recbole.errors import UserError
from diffkg_recbole.text import one_line
from diffkg_recbole.trainer.checkpoint import (
    fill_model,
    load_checkpoint,
    random_state,
    restore_random_state,
    save_checkpoint,
)
from diffkg_recbole.trainer.determinism import deterministic
from diffkg_recbole.trainer.progress import progress_bar

FRESH, IN_TRAINING, TRAINED = "fresh", "in training", "trained"
"""Stages of a trainer; ``last.pth`` says which one it was written in."""

EpochReport = Callable[[dict[str, Any]], None]


def _generators(train_data: Any) -> list[torch.Generator]:
    """Generators that shuffle the training data (two in a knowledge loader)."""
    loaders = (
        [train_data.general_dataloader, train_data.kg_dataloader]
        if hasattr(train_data, "general_dataloader") else [train_data]
    )
    return [loader.generator for loader in loaders]


class PluginTrainer(Trainer):
    """Mix-in placed before a RecBole trainer.

    Attributes:
        last_file: where the state to resume from is written, after each epoch that is evaluated
            or saved and after the last one; None (default) writes none.
        on_epoch: called with a report after each epoch: epoch, losses, seconds, valid (where the
            epoch was evaluated), and what the model's ``epoch_report()`` and the schedule's
            ``phase_report`` say.
        best_epoch: epoch of the best checkpoint so far (0-based).
        stage: :data:`FRESH`, :data:`IN_TRAINING` or :data:`TRAINED`.
    """

    def __init__(self, config: Any, model: torch.nn.Module) -> None:
        super().__init__(config, model)
        self.eval_step = min(config["eval_step"], self.epochs)  # some models have a single one
        self.last_file: Path | None = None
        self.on_epoch: EpochReport | None = None
        self._generators: list[torch.Generator] = []
        self._pending_generators: list[torch.Tensor] = []
        self._seconds: dict[str, float] = {}
        self._losses: dict[str, float] = {}
        self._valid_result: dict[str, float] | None = None
        self._pending_epoch: int | None = None
        self._saved_in_epoch = False
        self.best_epoch: int | None = None
        self.stage = FRESH

    def open_tensorboard(self, folder: Path) -> None:
        """Write TensorBoard's curves into a folder (the first process alone)."""
        if self.config["single_spec"] or self.config["local_rank"] == 0:
            from torch.utils.tensorboard import SummaryWriter

            self.tensorboard = SummaryWriter(str(folder))

    # ---- training ---------------------------------------------------------------------------

    def fit(
        self,
        train_data: Any,
        valid_data: Any = None,
        verbose: bool = True,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: Callable[[int, float], None] | None = None,
    ) -> tuple[float, dict | None]:
        """RecBole's ``fit``; a trainer that resumed goes on with the very same random numbers,
        and one that is trained already leaves its best model as it is."""
        if self.stage == TRAINED:
            return self.best_valid_score, self.best_valid_result
        self.stage = IN_TRAINING
        self._generators = _generators(train_data)
        for generator, state in zip(self._generators, self._pending_generators):
            generator.set_state(state.cpu())

        def after_epoch(epoch: int, score: float) -> None:
            self._end_epoch()
            if callback_fn is not None:
                callback_fn(epoch, score)

        result = super().fit(train_data, valid_data, verbose, saved, show_progress, after_epoch)
        self._end_epoch()
        self.stage = TRAINED
        return result

    def _end_epoch(self) -> None:
        """Report the epoch that was trained, and store the state after it.

        RecBole says only of evaluated epochs that they are over; the others are when the next
        one begins, or training ends.
        """
        epoch, self._pending_epoch = self._pending_epoch, None
        if epoch is None:
            return
        if self._ends_training(epoch):
            self.stage = TRAINED
        if self.on_epoch is not None:
            self.on_epoch(self._epoch_report(epoch))
        due = self._valid_result is not None or self._saved_in_epoch or self.stage == TRAINED
        if self.last_file is not None and due:  # last: a kill in between repeats the epoch
            self._save_last(epoch)

    def _ends_training(self, epoch: int) -> bool:
        """Whether RecBole's loop ends after this epoch: no more epochs, or early stopping."""
        return epoch + 1 == self.epochs or self.cur_step > max(self.stopping_step, 0)

    def _train_epoch(self, train_data: Any, epoch_idx: int, *args: Any, **kwargs: Any) -> Any:
        self._end_epoch()
        self._pending_epoch, self._valid_result, self._saved_in_epoch = epoch_idx, None, False
        self._seconds = {}
        start = perf_counter()
        with deterministic(self.config["reproducibility"] and self.device.type == "cpu"):
            losses = super()._train_epoch(train_data, epoch_idx, *args, **kwargs)
        self._seconds["train"] = perf_counter() - start
        values = losses if isinstance(losses, tuple) else (losses,)
        names = getattr(self.model, "loss_names", None)
        if names is None or len(names) != len(values):
            names = ["loss"] if len(values) == 1 else [f"loss{i + 1}" for i in range(len(values))]
        self._losses = {n: sum(v) if isinstance(v, tuple) else v for n, v in zip(names, values)}
        return tuple(sum(v) if isinstance(v, tuple) else v for v in values) if isinstance(
            losses, tuple) else losses

    def _valid_epoch(self, valid_data: Any, show_progress: bool = False) -> tuple[float, dict]:
        start = perf_counter()
        score, result = super()._valid_epoch(valid_data, show_progress)
        self._seconds["valid"] = perf_counter() - start
        self._valid_result = dict(result)
        return score, result

    def _epoch_report(self, epoch: int) -> dict[str, Any]:
        report: dict[str, Any] = {
            "epoch": epoch, "losses": dict(self._losses), "seconds": dict(self._seconds),
        }
        if self._valid_result is not None:
            report["valid"] = self._valid_result
        for group, values in getattr(self, "phase_report", {}).items():
            report[group].update(values)
        if hasattr(self.model, "epoch_report"):
            report.update(self.model.epoch_report())
        return report

    def _add_hparam_to_tensorboard(self, best_valid_result: Any) -> None:
        """As RecBole's; settings with lone surrogates, which TensorBoard's files cannot hold, are
        left out there."""
        with suppress(UnicodeEncodeError):
            super()._add_hparam_to_tensorboard(best_valid_result)

    # ---- evaluation -------------------------------------------------------------------------

    def evaluate(
        self,
        eval_data: Any,
        load_best_model: bool = True,
        model_file: str | None = None,
        show_progress: bool = False,
    ) -> dict | None:
        """RecBole's ``evaluate``; the best model is loaded as plain data."""
        if eval_data and load_best_model:
            if not self.config["single_spec"]:  # the first process may be writing it yet
                torch.distributed.barrier()
            file = model_file or self.saved_model_file
            fill_model(self.model, load_checkpoint(file), file)
        if not eval_data:
            return None
        self.eval_collector.data_collect(eval_data)
        with progress_bar(len(eval_data), "Evaluate   ", show_progress) as self._evaluated:
            return super().evaluate(eval_data, load_best_model=False)

    def _full_sort_batch_eval(self, batched_data: Any) -> Any:
        self._evaluated.update()
        return super()._full_sort_batch_eval(batched_data)

    def _neg_sample_batch_eval(self, batched_data: Any) -> Any:
        self._evaluated.update()
        return super()._neg_sample_batch_eval(batched_data)

    def _map_reduce(self, result: dict, num_sample: int) -> dict:
        """Nothing is left to reduce: the evaluator already saw the users of every process."""
        return result

    # ---- checkpoints ------------------------------------------------------------------------

    def training_state(self) -> dict[str, Any]:
        """What a trainer with more than one optimizer adds to its checkpoints."""
        return {}

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`training_state`."""

    def _state(self, epoch: int) -> dict[str, Any]:
        return {
            "format": 1,
            "config": self.config.plain(),
            "epoch": epoch,
            "best_epoch": self.best_epoch,
            "cur_step": self.cur_step,
            "best_valid_score": float(self.best_valid_score),
            "best_valid_result": self.best_valid_result,
            "state_dict": self.model.state_dict(),
            "other_parameter": self.model.other_parameter(),
            "optimizer": self.optimizer.state_dict(),
            "training_state": self.training_state(),
        }

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        self.best_epoch, self._saved_in_epoch = epoch, True
        if not self.config["single_spec"] and self.config["local_rank"] != 0:
            return
        path = kwargs.pop("saved_model_file", self.saved_model_file)
        save_checkpoint(self._state(epoch), path)
        if verbose:
            self.logger.info(f"Saving current: {path}")

    def _save_last(self, epoch: int) -> None:
        state = self._state(epoch)
        state["stage"] = self.stage
        state["random"] = random_state()
        state["generators"] = [g.get_state() for g in self._generators]
        state["train_loss"] = {str(k): v for k, v in self.train_loss_dict.items()}
        if self.config["single_spec"] or self.config["local_rank"] == 0:
            save_checkpoint(state, self.last_file)  # type: ignore[arg-type]

    def resume_checkpoint(self, resume_file: str | Path) -> None:
        """Go on after the epoch of a checkpoint.

        From a ``last.pth`` training continues exactly as if it had not stopped; from a best
        model's file, with fresh random numbers.

        Raises:
            UserError: damaged file, or one of another model or dataset.
        """
        checkpoint = load_checkpoint(resume_file)
        made_by = checkpoint.get("config", {}).get("model")
        if made_by != self.config["model"]:
            raise UserError(f"{resume_file} holds a {one_line(made_by)[:60]}, not a "
                            f"{self.config['model']}")
        fill_model(self.model, checkpoint, resume_file)
        try:
            self._go_on_from(checkpoint)
        except Exception as error:  # torch and NumPy refuse a wrong state in any way
            raise UserError(f"{resume_file} holds no state of this training "
                            f"({type(error).__name__}: {one_line(error)[:200]})") from error
        self.logger.info(f"Resuming after epoch {checkpoint['epoch']} of {resume_file}")

    def _go_on_from(self, checkpoint: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.load_training_state(checkpoint["training_state"])
        self.start_epoch = checkpoint["epoch"] + 1
        self.cur_step = checkpoint["cur_step"]
        self.best_valid_score = checkpoint["best_valid_score"]
        self.best_valid_result = checkpoint["best_valid_result"]
        self.best_epoch = checkpoint["best_epoch"]
        self.train_loss_dict = {int(k): v for k, v in checkpoint.get("train_loss", {}).items()}
        if "random" in checkpoint:
            restore_random_state(checkpoint["random"])
            self._pending_generators = checkpoint["generators"]
            for state in self._pending_generators:
                torch.Generator().set_state(state.cpu())  # raises here if it is none
        if not self._ends_training(checkpoint["epoch"]):  # of a training of fewer epochs, too
            self.stage = IN_TRAINING
        else:
            self.stage = checkpoint.get("stage", IN_TRAINING)
