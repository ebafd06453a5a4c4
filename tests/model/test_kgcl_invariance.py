"""What must not matter to KGCL's network: how users, items, entities and relations are numbered."""

from __future__ import annotations

import math

import pytest
import torch

from diffkg_recbole.model.graph import KnowledgeGraph
from diffkg_recbole.model.kgcl.draws import KGCLDraws
from diffkg_recbole.model.kgcl.network import KGCLNetwork
from diffkg_recbole.model.propagation import BipartiteGraph
from tests.model.kgcl_networks import (
    BATCH,
    N_ENTITIES,
    N_ITEMS,
    N_RELATIONS,
    N_USERS,
    SIZE,
    make_network,
)


class ReorderedDraws(KGCLDraws):
    """Draws of another instance, handed to the same edges, pairs and entities under new ids."""

    def __init__(self, source: KGCLDraws, edges, pairs, entities) -> None:
        super().__init__(0)
        self.source, self.edges, self.pairs, self.entities = source, edges, pairs, entities

    def kg_subset(self, n_edges, n_kept):
        keep = torch.zeros(n_edges, dtype=torch.bool)
        keep[self.source.kg_subset(n_edges, n_kept)] = True
        return keep[self.edges].nonzero().squeeze(1)

    def interaction_uniform(self, n_interactions):
        return self.source.interaction_uniform(n_interactions)[self.pairs]

    def kg_keep(self, n_edges, keep):
        return self.source.kg_keep(n_edges, keep)[self.edges]

    def interaction_keep(self, n_interactions, keep):
        return self.source.interaction_keep(n_interactions, keep)[self.pairs]

    def keep_mask(self, n_rows, n_columns, keep):
        return self.source.keep_mask(n_rows, n_columns, keep)[self.entities]


def old_position(old_first, old_second, new_first, new_second) -> torch.Tensor:
    """For each new pair, the position of the same pair in the old order."""
    place = {pair: i for i, pair in enumerate(zip(old_first.tolist(), old_second.tolist()))}
    return torch.tensor([place[p] for p in zip(new_first.tolist(), new_second.tolist())])


def permuted_twin(network: KGCLNetwork) -> tuple[KGCLNetwork, tuple[torch.Tensor, ...]]:
    """The same model under other user, item, entity and relation ids, and the same draws."""
    generator = torch.Generator().manual_seed(8)
    user = torch.randperm(N_USERS, generator=generator)  # new id of each old one
    item = torch.randperm(N_ITEMS, generator=generator)
    other = N_ITEMS + torch.randperm(N_ENTITIES - N_ITEMS, generator=generator)
    entity, relation = torch.cat([item, other]), torch.randperm(6, generator=generator)
    old = network.graph
    graph = KnowledgeGraph.from_edges(
        entity[old.head], entity[old.tail], relation[old.relation], N_ENTITIES, 2 * N_RELATIONS
    )
    pairs = network.interactions
    interactions = BipartiteGraph(user[pairs.user], item[pairs.item], N_USERS, N_ITEMS)
    user_back, item_back, entity_back = user.argsort(), item.argsort(), entity.argsort()
    draws = ReorderedDraws(
        KGCLDraws(3),
        old_position(old.head, old.tail, entity_back[graph.head], entity_back[graph.tail]),
        old_position(
            pairs.user, pairs.item, user_back[interactions.user], item_back[interactions.item]
        ),
        entity_back,
    )
    twin = KGCLNetwork(graph, interactions, network.settings, draws, dtype=torch.float64)
    nodes = torch.cat([user_back, N_USERS + entity_back])
    with torch.no_grad():
        twin.node_embedding.copy_(network.node_embedding[nodes])
        twin.relation_embedding.copy_(network.relation_embedding[relation.argsort()])
        twin.attention.load_state_dict(network.attention.state_dict())
    return twin, (user[BATCH[0]], item[BATCH[1]], item[BATCH[2]])


def test_permuting_ids_changes_no_loss_and_no_score():
    network = make_network(KGCLDraws(3)).train()
    twin, batch = permuted_twin(network)
    network.refresh_views()
    twin.train().refresh_views()
    for ours, theirs in zip(network.recommender_losses(*BATCH), twin.recommender_losses(*batch)):
        assert theirs.item() == pytest.approx(ours.item(), rel=1e-11)
    users, items = network.eval()()
    twin_users, twin_items = twin.eval()()
    ours = (users[BATCH[0]] * items[BATCH[1]]).sum(1)
    theirs = (twin_users[batch[0]] * twin_items[batch[1]]).sum(1)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=0)


def test_users_and_entities_share_one_xavier_bound():
    network = make_network()
    bound = math.sqrt(6 / (N_USERS + N_ENTITIES + SIZE))
    assert network.node_embedding.shape == (N_USERS + N_ENTITIES, SIZE)
    assert 0.9 * bound < network.node_embedding.abs().max() <= bound
    assert network.attention.bias is not None
