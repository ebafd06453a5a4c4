"""Whole epochs: ours against the plain form, and RecBole's models beside them."""

from __future__ import annotations

import logging
import time
from typing import Any

import torch
from recbole.data.dataloader import TrainDataLoader
from recbole.sampler import Sampler
from recbole.utils import KGDataLoaderState
from torch import Tensor

from benchmarks.clock import Pair, compare
from benchmarks.reference_model import PlainModel
from diffkg_recbole.config import Config
from diffkg_recbole.model.draws import Draws
from diffkg_recbole.quick_start import Experiment, prepare

_TOLERANCE = 2e-4
_BASELINES = ("LightGCN", "KGIN", "KGAT")
# 3,570 entities were counted without items that have no link; here all items are entities.
THINNED = {"entity_kg_num_interval": "[6,inf)"}


def experiment(
    model: str, dataset: str, values: dict[str, Any], config_files: list[str] | None = None
) -> Experiment:
    """Data and configuration of a run, without its log on the screen."""
    logging.getLogger().setLevel(logging.ERROR)
    quiet = {"show_progress": False, "state": "error"}
    return prepare(Config(model, dataset, config_files, {**quiet, **values}))


class OurEpoch:
    """DiffKG through the package's trainer.

    Args:
        data: the experiment.
    """

    def __init__(self, data: Experiment) -> None:
        self.data = data
        self.model = data.build_model()
        self.trainer = data.build_trainer(self.model)
        self.seconds: dict[str, float] = {}

    def run(self) -> None:
        """One epoch with evaluation of the validation part."""
        start = time.perf_counter()
        self.trainer._train_epoch(self.data.train_data, 0)
        trained = time.perf_counter()
        self.metrics = self.trainer.evaluate(self.data.valid_data, load_best_model=False)
        phases = dict(self.trainer.phase_report["seconds"])
        recommender = trained - start - sum(phases.values())
        self.seconds = {**phases, "recommender": recommender,
                        "evaluation": time.perf_counter() - trained}


class PlainEpoch:
    """The same epoch by the plain model, with RecBole's sampler and its small user batches."""

    def __init__(self, ours: OurEpoch) -> None:
        self.config, train = ours.data.config, ours.data.train
        self.model = PlainModel(ours.model.network)
        self.draws = Draws(0)
        sampler = Sampler(["train"], [train], "uniform").set_phase("train")
        self.loader = TrainDataLoader(self.config, train, sampler, shuffle=True)
        evaluated = ours.data.valid_data
        users = evaluated.uid_list
        self.users = users - 1
        self.history = _by_user(evaluated.history, users)
        self.positives = _by_user(evaluated.positives, users)
        self.batch_users = max(self.config["eval_batch_size"] // train.item_num, 1)
        self.seconds: dict[str, float] = {}

    def run(self) -> None:
        """One epoch with evaluation."""
        model, clock = self.model, [time.perf_counter()]
        model.train_denoiser(torch.randperm(len(model.rows)), self.draws)
        clock.append(time.perf_counter())
        model.rebuild(model.top_columns(), self.draws)
        clock.append(time.perf_counter())
        for batch in self.loader:
            model.step(*self._compact(batch))
        clock.append(time.perf_counter())
        self.metrics = self.evaluate()
        clock.append(time.perf_counter())
        names = ("diffusion", "rebuilding", "recommender", "evaluation")
        self.seconds = {n: b - a for n, a, b in zip(names, clock, clock[1:])}

    def evaluate(self) -> dict[str, float]:
        return self.model.evaluate(
            self.users, self.history, self.positives, self.config["topk"], self.batch_users)

    def _compact(self, batch: Any) -> list[Tensor]:
        fields = ("USER_ID_FIELD", "ITEM_ID_FIELD")
        user, item = (self.config[name] for name in fields)
        negative = self.config["NEG_PREFIX"] + item
        return [batch[name] - 1 for name in (user, item, negative)]


def _by_user(rows: Any, users: Tensor) -> list[Tensor]:
    """Compact items of each user, from the loader's grouped pairs."""
    row, item = rows.of(users.numpy())
    return list((item - 1).split(torch.bincount(row, minlength=len(users)).tolist()))


def epoch_pair(
    dataset: str, values: dict[str, Any], name: str
) -> tuple[Pair, OurEpoch, PlainEpoch]:
    """An epoch of DiffKG with the authors' defaults, in both forms."""
    ours = OurEpoch(experiment("DiffKG", dataset, values))
    plain = PlainEpoch(ours)

    def check() -> float:
        """Dropout off, the same draws: every loss, the rebuilt graph and the metrics."""
        steady = {"message_dropout": 0.0, "denoiser_dropout": 0.0}
        mine = OurEpoch(experiment("DiffKG", dataset, {**values, **steady}))
        theirs = PlainEpoch(mine)
        return compare_epochs(mine, theirs)

    pair = Pair("whole epoch", name, plain.run, ours.run, check,
                target=4.0 if dataset == "ml-100k" else None)
    return pair, ours, plain


def compare_epochs(ours: OurEpoch, plain: PlainEpoch, n_steps: int = 5) -> float:
    """Run the parts of an epoch in both forms on the same draws; the largest difference."""
    network, trainer, model = ours.model.network, ours.trainer, plain.model
    order = torch.randperm(network.n_rows)
    network.draws, draws = Draws(4), Draws(4)
    trainer.phase_report = {}
    trainer.train_denoiser(order, 0)
    weight = network.settings.ckgc_weight
    sums = trainer.phase_report["losses"]
    loss = (1 - weight) * sums["elbo"] + weight * sums["ckgc"]
    differences = [compare("diffusion losses", torch.tensor([model.train_denoiser(order, draws)]),
                           torch.tensor([loss]), _TOLERANCE)]
    model.rebuild(model.top_columns(), draws)
    trainer.rebuild_graph(0)
    # Near ties may be resolved otherwise; the passes below need the same graph.
    share = _common_share(model.denoised_edges, network.denoised_graph)
    differences.append(compare("rebuilt graph", torch.ones(1), torch.tensor([share]), 0.02))
    graph = network.denoised_graph
    model.denoised_edges = graph.head, graph.tail, graph.relation
    network.train()
    ours.data.train_data.set_mode(KGDataLoaderState.RS)
    for step, batch in enumerate(ours.data.train_data):
        if step == n_steps:
            break
        compact = plain._compact(batch)
        trainer.optimizer.zero_grad()
        loss = sum(network.recommender_losses(*compact))
        loss.backward()
        trainer.optimizer.step()
        expected = torch.tensor([model.step(*compact)])
        differences.append(compare("recommender loss", expected, loss.reshape(1), _TOLERANCE))
    metrics = trainer.evaluate(ours.data.valid_data, load_best_model=False)
    wanted = plain.evaluate()
    ours_row = torch.tensor([metrics[name] for name in wanted])
    differences.append(compare("metrics", torch.tensor(list(wanted.values())), ours_row, 1e-3))
    return max(differences)


def _common_share(edges: tuple[Tensor, Tensor, Tensor], graph: Any) -> float:
    """Share of edges that two graphs have in common."""
    theirs = edges[0] * graph.n_entities + edges[1]
    mine = graph.head * graph.n_entities + graph.tail
    return int(torch.isin(mine, theirs).sum()) / max(len(theirs), len(mine), 1)


def baselines(dataset: str, values: dict[str, Any], epochs: int) -> list[dict[str, Any]]:
    """Seconds of training and validation an epoch for RecBole's models through this package.

    Returns:
        a row per model: the median over ``epochs``; ``error`` where a model does not run.
    """
    return [_baseline(model, dataset, values, epochs) for model in (*_BASELINES, "DiffKG")]


def _baseline(model: str, dataset: str, values: dict[str, Any], epochs: int) -> dict[str, Any]:
    row: dict[str, Any] = {"model": model, "data": dataset}
    try:
        data = experiment(model, dataset, {**values, "epochs": epochs, "stopping_step": epochs})
        trainer = data.build_trainer(data.build_model())
        reports: list[dict[str, Any]] = []
        trainer.on_epoch = reports.append
        trainer.fit(data.train_data, data.valid_data, verbose=False, saved=False)
    except Exception as error:
        return {**row, "error": f"{type(error).__name__}: {error}"}
    middle = sorted(reports, key=lambda r: r["seconds"]["train"])[len(reports) // 2]
    return {**row, "train": middle["seconds"]["train"], "evaluation": middle["seconds"]["valid"]}
