"""Models on the small dataset that comes with the software, for tests."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction

from diffkg_recbole.config import Config
from diffkg_recbole.quick_start import Experiment, prepare

QUIET = {"show_progress": False, "state": "error", "use_gpu": False, "cache_dataset": False,
         "embedding_size": 16, "train_batch_size": 256}


def experiment(model: str, **settings: Any) -> Experiment:
    """Data and configuration of a model on ``tiny``."""
    return prepare(Config(model, "tiny", config_dict={**QUIET, **settings}))


def build(model: str, **settings: Any) -> torch.nn.Module:
    """A model on ``tiny`` with fresh parameters, in evaluation mode."""
    return experiment(model, **settings).build_model().eval()


def recbole_model(name: str, exp: Experiment) -> torch.nn.Module:
    """RecBole's own class of that name, built on the data of an experiment."""
    for kind in ("general_recommender", "knowledge_aware_recommender"):
        package = importlib.import_module(f"recbole.model.{kind}")
        if hasattr(package, name):
            return getattr(package, name)(exp.config, exp.train).eval()
    raise LookupError(name)


def pairs_of(users: torch.Tensor, n_items: int) -> Interaction:
    """Every pair of the given users and all items, user by user."""
    return Interaction({
        "user_id": users.repeat_interleave(n_items),
        "item_id": torch.arange(n_items, device=users.device).repeat(len(users)),
    })


@torch.no_grad()
def pair_scores(model: torch.nn.Module, users: torch.Tensor) -> torch.Tensor:
    """Scores by ``predict``, [users, items]."""
    return model.predict(pairs_of(users, model.n_items)).view(len(users), -1)


@torch.no_grad()
def full_scores(model: torch.nn.Module, users: torch.Tensor) -> torch.Tensor:
    """Scores by ``full_sort_predict``, [users, items]."""
    return model.full_sort_predict(Interaction({"user_id": users})).view(len(users), -1)


def numpy64(tensor: torch.Tensor) -> np.ndarray:
    """A tensor as a float64 (or integer) array."""
    array = tensor.detach().cpu().numpy()
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def randomise(model: torch.nn.Module, seed: int = 0, scale: float = 0.5) -> None:
    """Give every parameter a value of ordinary size, so that no term of a formula is tiny."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)


def triples(train: Any) -> list[tuple[int, int, int]]:
    """(head, relation, tail) of a knowledge dataset by RecBole's ids."""
    return list(zip(train.head_entities.tolist(), train.relations.tolist(),
                    train.tail_entities.tolist()))


def interactions(train: Any) -> list[tuple[int, int]]:
    """(user, item) of the training part by RecBole's ids."""
    return list(zip(train.inter_feat["user_id"].tolist(), train.inter_feat["item_id"].tolist()))
