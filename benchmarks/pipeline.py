"""What surrounds the model: loading data against RecBole's own loading, and evaluation."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from recbole.data.utils import create_dataset as recbole_create_dataset
from recbole.data.utils import data_preparation as recbole_data_preparation

from benchmarks.clock import Disagreement, Pair, Work, compare
from benchmarks.epochs import OurEpoch, PlainEpoch, experiment
from diffkg_recbole.data import create_dataset, data_preparation

_FLOAT = 4  # bytes


def loading_pair(dataset: str, values: dict[str, Any], name: str) -> Pair:
    """From atomic files to loaders: RecBole's own way against ours, its cache filled.

    Both load for DiffKG. Ours keeps interactions of items without a link, RecBole drops them.
    """
    config = experiment("DiffKG", dataset, values).config

    def load_plain() -> tuple:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # pandas 3, once per field
            loaded = recbole_create_dataset(config)
            return (loaded, *recbole_data_preparation(config, loaded))

    def load_ours() -> tuple:
        loaded = create_dataset(config)
        return (loaded, *data_preparation(config, loaded))

    def check() -> float:
        """The same triples; no pair lost."""
        plain, ours = load_plain()[0], load_ours()[0]
        if len(plain.kg_feat) != len(ours.kg_feat) or plain.entity_num > ours.entity_num:
            raise Disagreement("loading: the graphs differ")
        if len(plain.inter_feat) > len(ours.inter_feat):
            raise Disagreement("loading: ours has fewer interactions than RecBole's")
        return 0.0

    return Pair("loading", name, load_plain, load_ours, check)


def evaluation_pair(dataset: str, values: dict[str, Any], name: str) -> Pair:
    """Metrics of the validation part, embeddings included: plain loops over users against ours."""
    ours = OurEpoch(experiment("DiffKG", dataset, values))
    plain = PlainEpoch(ours)
    data, network = ours.data.valid_data, ours.model.network

    def run_ours() -> dict[str, float]:
        return ours.trainer.evaluate(data, load_best_model=False)

    def check() -> float:
        metrics, expected = run_ours(), plain.evaluate()
        return compare("evaluation", torch.tensor(list(expected.values())),
                       torch.tensor([metrics[key] for key in expected]), 1e-3)

    n_scores = float(len(data.uid_list) * network.n_items)
    work = Work(2 * n_scores * network.settings.embedding_size, 2 * _FLOAT * n_scores)
    return Pair("evaluation", name, plain.evaluate, run_ours, check, work=work)
