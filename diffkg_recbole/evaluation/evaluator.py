"""Collecting the top-K of every evaluated user, and turning it into metrics."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from recbole.evaluator import Collector, Evaluator
from recbole.evaluator.register import metrics_dict
from torch import Tensor

from diffkg_recbole.evaluation.metrics import RANKING_METRICS
from diffkg_recbole.parallel import process_rows, rank_and_world


@dataclass
class RankedUsers:
    """Top-K lists of one evaluation, in the order of its users.

    Attributes:
        items: [users, K] int64 item ids, best first; -1 where fewer than K items were candidates.
        hit: [users, K] bool.
        n_positive: [users] int64.
    """

    items: np.ndarray
    hit: np.ndarray
    n_positive: np.ndarray

    def per_user(self, metrics: list[str], cutoffs: list[int]) -> dict[str, np.ndarray]:
        """``{"recall@20": [users] float64, ...}`` for the ranking metrics of the plugin."""
        values: dict[str, np.ndarray] = OrderedDict()
        for name in (m.lower() for m in metrics):
            if name in RANKING_METRICS:
                at_each = RANKING_METRICS[name](self.hit, self.n_positive)
                values.update({f"{name}@{k}": at_each[:, k - 1] for k in cutoffs})
        return values


def divided_users(config: Any, n_users: int) -> slice:
    """The users that this process evaluates, of ``n_users`` in a row.

    Data parallel, every user is evaluated by exactly one process. Metrics other than the ranking
    metrics of the plugin cannot be put together from parts; every process computes them on all
    users.
    """
    rank, world = rank_and_world(config)
    if any(metric.lower() not in RANKING_METRICS for metric in config["metrics"]):
        return slice(0, n_users)
    return process_rows(n_users, rank, world)


def positives_among(
    top: Tensor, positive_row: Tensor, positive_item: Tensor, n_items: int
) -> tuple[Tensor, Tensor]:
    """Which of the top items are positives, without a users × items matrix.

    Args:
        top: [users, K] item ids.
        positive_row, positive_item: [P] pairs.

    Returns:
        hit [users, K] bool and number of positives [users] int64.
    """
    wanted = (positive_row.to(top.device) * n_items + positive_item.to(top.device)).sort().values
    keys = torch.arange(len(top), device=top.device)[:, None] * n_items + top
    position = torch.searchsorted(wanted, keys).clamp_(max=max(len(wanted) - 1, 0))
    counts = torch.bincount(positive_row.to(top.device), minlength=len(top))
    return wanted[position] == keys, counts


class RankingCollector(Collector):
    """RecBole's collector; the top-K is found once, on the device of the scores."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._ranks = self.register.need("rec.topk")
        # RecBole's collector goes on collecting what other metrics need (coverage, GAUC).
        setattr(self.register, "rec.topk", False)
        self._batches: list[tuple[Tensor, ...]] = []

    def eval_batch_collect(
        self, scores_tensor: Tensor, interaction: Any, positive_u: Tensor, positive_i: Tensor
    ) -> None:
        """Collect one batch. ``scores_tensor`` [users, items], -inf where masked."""
        if self._ranks:
            k = min(max(self.topk), scores_tensor.shape[1])
            score, top = torch.topk(scores_tensor, k, dim=-1)
            hit, counts = positives_among(top, positive_u, positive_i, scores_tensor.shape[1])
            masked = score == -torch.inf  # no recommendation, even for want of other items
            batch = (top.masked_fill(masked, -1), hit & ~masked, counts)
            self._batches.append(tuple(part.cpu() for part in batch))
        super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)

    def get_data_struct(self) -> Any:
        """What other metrics need; RecBole's wants to move numbers and counters to the CPU."""
        collected = self.data_struct
        constants = {name: value for name, value in collected._data_dict.items()
                     if not isinstance(value, Tensor)}
        for name in constants:
            del collected[name]
        struct = super().get_data_struct()
        for name, value in constants.items():
            struct.set(name, value)
            collected.set(name, value)
        return struct

    def take_ranked(self) -> RankedUsers | None:
        """The top-K lists collected since the last call; None for value metrics."""
        if not self._batches:
            return None
        top, hit, counts = (torch.cat(parts).numpy() for parts in zip(*self._batches))
        self._batches = []
        width = max(self.topk)
        if top.shape[1] < width:  # fewer items than K
            missing = width - top.shape[1]
            top = np.pad(top, ((0, 0), (0, missing)), constant_values=-1)
            hit = np.pad(hit, ((0, 0), (0, missing)))
        return RankedUsers(top, hit, counts)


class RankingEvaluator(Evaluator):
    """RecBole's evaluator with vectorised top-K metrics; other metrics are RecBole's.

    Args:
        config: configuration.
        collector: where the top-K lists were collected.

    Attributes:
        ranked: top-K lists of the last evaluation (None before the first).
    """

    def __init__(self, config: Any, collector: RankingCollector) -> None:
        self.config, self.collector = config, collector
        self.metrics = [metric.lower() for metric in config["metrics"]]
        self.metric_class = {
            m: metrics_dict[m](config) for m in self.metrics if m not in RANKING_METRICS
        }
        self.ranked: RankedUsers | None = None

    def evaluate(self, dataobject: Any) -> OrderedDict:
        """Mean over all evaluated users (of every process) of each configured metric."""
        self.ranked = self.collector.take_ranked()
        if not self.metric_class:  # see divided_users
            self.ranked = gather_ranked(self.ranked, self.config)
        per_user = (
            self.ranked.per_user(self.metrics, self.config["topk"]) if self.ranked else {}
        )
        values = {name: column.mean() for name, column in per_user.items()}
        for metric in self.metric_class.values():
            values.update(metric.calculate_metric(dataobject))
        places = self.config["metric_decimal_place"]
        return OrderedDict((name, round(float(v), places)) for name, v in values.items())


def gather_ranked(mine: RankedUsers | None, config: Any) -> RankedUsers | None:
    """Top-K lists of all processes, in the order of their ranks, on every process.

    Args:
        mine: lists of this process; None where it evaluated no user.
        config: configuration.
    """
    _, world = rank_and_world(config)
    if world == 1:
        return mine
    everyone: list[Any] = [None] * world
    torch.distributed.all_gather_object(everyone, mine)
    some = [ranked for ranked in everyone if ranked is not None]
    if not some:
        return None
    columns = ("items", "hit", "n_positive")
    return RankedUsers(*(np.concatenate([getattr(r, c) for r in some]) for c in columns))
