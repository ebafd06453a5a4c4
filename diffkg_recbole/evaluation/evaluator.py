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

from diffkg_recbole.errors import DivergedError
from diffkg_recbole.evaluation.list_metrics import LIST_METRICS, area_under_curve
from diffkg_recbole.evaluation.metrics import RANKING_METRICS
from diffkg_recbole.evaluation.top_k import top_k
from diffkg_recbole.parallel import process_rows, rank_and_world

GAUC = "gauc"
_OF_LISTS = {*RANKING_METRICS, *LIST_METRICS, GAUC}


@dataclass
class RankedUsers:
    """Top-K lists of one evaluation, in the order of its users.

    Attributes:
        items: [users, K] int64 item ids, best first; -1 where fewer than K items were candidates.
        hit: [users, K] bool.
        n_positive: [users] int64.
        auc: [users] float64, see :func:`area_under_curve`; None unless GAUC is a metric.
    """

    items: np.ndarray
    hit: np.ndarray
    n_positive: np.ndarray
    auc: np.ndarray | None = None

    def per_user(self, metrics: list[str], cutoffs: list[int]) -> dict[str, np.ndarray]:
        """``{"recall@20": [users] float64, ...}`` for the ranking metrics of the plugin."""
        values: dict[str, np.ndarray] = OrderedDict()
        for name in (m.lower() for m in metrics):
            if name in RANKING_METRICS:
                at_each = RANKING_METRICS[name](self.hit, self.n_positive)
                values.update({f"{name}@{k}": at_each[:, k - 1] for k in cutoffs})
        return values

    def over_all(self, config: Any, item_counts: np.ndarray) -> dict[str, float]:
        """The configured metrics of all lists together.

        Args:
            config: configuration: ``metrics``, ``topk``, ``tail_ratio``.
            item_counts: [items + 1] training interactions of each item.
        """
        values: dict[str, float] = OrderedDict()
        for name in (m.lower() for m in config["metrics"]):
            if name in LIST_METRICS:
                options = (config["tail_ratio"],) if name == "tailpercentage" else ()
                values.update({
                    f"{name}@{k}": LIST_METRICS[name](self.items[:, :k], item_counts, *options)
                    for k in config["topk"]})
            elif name == GAUC and self.auc is not None:
                weight = np.where(np.isnan(self.auc), 0, self.n_positive)
                total = (np.nan_to_num(self.auc) * weight).sum()
                values[name] = float(total / weight.sum()) if weight.any() else float("nan")
        return values


def divided_users(config: Any, n_users: int) -> slice:
    """The users that this process evaluates, of ``n_users`` in a row.

    Data parallel, every user is evaluated by exactly one process. RecBole's metrics of values
    cannot be put together from parts; every process computes them on all users.
    """
    rank, world = rank_and_world(config)
    if any(metric.lower() not in _OF_LISTS for metric in config["metrics"]):
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
    """RecBole's collector; the top-K is found once, on the device of the scores.

    Attributes:
        item_counts: [items + 1] training interactions of each item; None before any data.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        wanted = {metric.lower() for metric in config["metrics"]}
        self._ranks, self._compares = bool(wanted & _OF_LISTS), GAUC in wanted
        # RecBole's collector goes on collecting what metrics of values need.
        for need in ("rec.topk", "rec.items", "rec.meanrank", "data.num_items", "data.count_items"):
            setattr(self.register, need, False)
        self.item_counts: np.ndarray | None = None
        self._batches: list[tuple[Tensor, ...]] = []
        self._auc: list[np.ndarray] = []
        self._not_finite: Tensor | None = None

    def data_collect(self, train_data: Any) -> None:
        """Count the training interactions of items.

        Args:
            train_data: a loader of any part; those for evaluation know their training part.
        """
        train = getattr(train_data, "train_part", train_data._dataset)
        items = train.inter_feat[train.iid_field]
        self.item_counts = np.bincount(np.asarray(items), minlength=train.item_num)

    def note_scores(self, not_finite: Tensor) -> None:
        """Count scores of a batch, outside the masked ones, that are infinite or not a number."""
        more = not_finite.clamp_min(0)
        self._not_finite = more if self._not_finite is None else self._not_finite + more

    def check_scores(self) -> None:
        """Forget the count.

        Raises:
            DivergedError: if it was not zero; no metric may be computed from such scores.
        """
        count, self._not_finite = self._not_finite, None
        if count is not None and int(count) > 0:
            self._batches = []
            raise DivergedError(f"{int(count):,} scores are infinite or not a number")

    def eval_batch_collect(
        self, scores_tensor: Tensor, interaction: Any, positive_u: Tensor, positive_i: Tensor
    ) -> None:
        """Collect one batch. ``scores_tensor`` [users, items], -inf where masked."""
        if self._ranks:
            score, top = top_k(scores_tensor, min(max(self.topk), scores_tensor.shape[1]))
            hit, counts = positives_among(top, positive_u, positive_i, scores_tensor.shape[1])
            masked = score == -torch.inf  # no recommendation, even for want of other items
            batch = (top.masked_fill(masked, -1), hit & ~masked, counts)
            self._batches.append(tuple(part.cpu() for part in batch))
        if self._compares:
            self._auc.append(area_under_curve(scores_tensor, positive_u, positive_i))
        super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)

    def take_ranked(self) -> RankedUsers | None:
        """The top-K lists collected since the last call; None for value metrics."""
        if not self._batches:
            return None
        top, hit, counts = (torch.cat(parts).numpy() for parts in zip(*self._batches))
        auc = np.concatenate(self._auc) if self._auc else None
        self._batches, self._auc = [], []
        width = max(self.topk)
        if top.shape[1] < width:  # fewer items than K
            missing = width - top.shape[1]
            top = np.pad(top, ((0, 0), (0, missing)), constant_values=-1)
            hit = np.pad(hit, ((0, 0), (0, missing)))
        return RankedUsers(top, hit, counts, auc)


class RankingEvaluator(Evaluator):
    """RecBole's evaluator with the plugin's metrics of lists; metrics of values are RecBole's.

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
            m: metrics_dict[m](config) for m in self.metrics if m not in _OF_LISTS
        }
        self.ranked: RankedUsers | None = None

    def evaluate(self, dataobject: Any) -> OrderedDict:
        """Mean over all evaluated users (of every process) of each configured metric."""
        self.collector.check_scores()
        self.ranked = self.collector.take_ranked()
        if not self.metric_class:  # see divided_users
            self.ranked = gather_ranked(self.ranked, self.config)
        per_user = (
            self.ranked.per_user(self.metrics, self.config["topk"]) if self.ranked else {}
        )
        values = {name: column.mean() for name, column in per_user.items()}
        counts = self.collector.item_counts
        if self.ranked and counts is not None:
            values.update(self.ranked.over_all(self.config, counts))
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
    columns = ["items", "hit", "n_positive", *(["auc"] if some[0].auc is not None else [])]
    return RankedUsers(*(np.concatenate([getattr(r, c) for r in some]) for c in columns))
