"""KGCL on MIND's graph, which reaches about half of the items only."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from diffkg_recbole.model.graph import KnowledgeGraph
from diffkg_recbole.model.kgcl import KGCLDraws, KGCLNetwork, KGCLSettings
from diffkg_recbole.model.kgcl.views import item_stability, keep_probability
from diffkg_recbole.model.propagation import BipartiteGraph

MIND = Path(__file__).parents[3] / "shared" / "data" / "mind_partial"


@pytest.mark.realdata
@pytest.mark.skipif(not MIND.is_dir(), reason="MIND is not beside the project")
def test_items_out_of_the_graphs_reach_are_the_most_stable():
    triples = np.loadtxt(MIND / "kg.txt", dtype=np.int64)
    matrix = pickle.loads((MIND / "trnMat.pkl").read_bytes()).tocoo()
    users, items = (torch.from_numpy(ids.astype(np.int64)) for ids in (matrix.row, matrix.col))
    n_entities = max(triples[:, [0, 2]].max() + 1, matrix.shape[1])
    graph = KnowledgeGraph.from_triples(triples, int(n_entities), int(triples[:, 1].max()) + 1)
    interactions = BipartiteGraph(users, items, *matrix.shape)
    settings = KGCLSettings(embedding_size=8, mean_keep_rate=0.6)
    network = KGCLNetwork(graph, interactions, settings, KGCLDraws(0))
    network.refresh_views()
    with torch.no_grad():
        stability = item_stability(
            *(network._attended_items(view.graph) for view in network.views)
        )
    reached = graph.indptr.diff()[: matrix.shape[1]] > 0
    assert (~reached).sum() > 14_000
    assert (stability[~reached] > 1 - 1e-12).all()
    assert stability[reached].mean() < 0.95
    probability = keep_probability(stability, 0.6)
    assert probability[~reached].unique().numel() <= 3  # equal but for the last bit
    assert probability[~reached].min() > probability[reached].mean()
    for view in network.views:
        share = view.operator.values().numel() / 2 / interactions.n_pairs
        expected = probability[interactions.item].mean().item()
        # one Bernoulli draw per pair: five standard deviations of the mean of a million
        assert share == pytest.approx(expected, abs=0.0025)
    batch = interactions.user[-64:], interactions.item[-64:], interactions.item[:64]
    assert all(torch.isfinite(part) for part in network.train().recommender_losses(*batch))
