"""A small KGCL network for tests: its size, its triples, a batch."""

from __future__ import annotations

import numpy as np
import torch

from diffkg_recbole.model.graph import KnowledgeGraph
from diffkg_recbole.model.kgcl.draws import KGCLDraws
from diffkg_recbole.model.kgcl.network import KGCLNetwork
from diffkg_recbole.model.kgcl.settings import KGCLSettings
from diffkg_recbole.model.propagation import BipartiteGraph

N_USERS, N_ITEMS, N_ENTITIES, N_RELATIONS, SIZE = 6, 8, 14, 3, 5
UNREACHED = 7  # item without a triple


def make_triples() -> np.ndarray:
    generator = np.random.default_rng(11)
    heads = generator.integers(0, UNREACHED, 30)
    relations = generator.integers(0, N_RELATIONS, 30)
    tails = generator.integers(UNREACHED + 1, N_ENTITIES, 30)
    return np.stack([heads, relations, tails], axis=1)


def make_network(draws: KGCLDraws | None = None, **settings) -> KGCLNetwork:
    torch.manual_seed(7)
    graph = KnowledgeGraph.from_triples(make_triples(), N_ENTITIES, N_RELATIONS)
    users = torch.tensor([0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5])
    items = torch.tensor([0, 1, 7, 1, 2, 3, 0, 4, 7, 6, 1, 3, 0])
    interactions = BipartiteGraph(users, items, N_USERS, N_ITEMS)
    chosen = KGCLSettings(**{"embedding_size": SIZE, **settings})
    network = KGCLNetwork(
        graph, interactions, chosen, draws or KGCLDraws(3), dtype=torch.float64
    )
    with torch.no_grad():
        network.attention.bias.normal_(0, 0.5)  # a bias of zero would hide that it is used
        network.relation_embedding.mul_(2)
    return network


BATCH = tuple(torch.tensor(ids) for ids in ([0, 1, 3, 0], [7, 2, 4, 0], [5, 6, 2, 3]))
