"""KGIN without torch_scatter."""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.knowledge_aware_recommender.kgin import KGIN as RecBoleKGIN
from recbole.model.knowledge_aware_recommender.kgin import GraphConv as RecBoleGraphConv
from torch import Tensor, nn

from diffkg_recbole.model.baselines.emb_loss import EmbLoss
from diffkg_recbole.model.baselines.sparse_operator import (
    OperatorDropout,
    SparseOperator,
    bipartite_adjacency,
    normalise_rows,
    normalise_symmetric,
)
from diffkg_recbole.model.baselines.triple_messages import SampledTriples, TripleMessages
from diffkg_recbole.model.evaluation_cache import EvaluationCache


class NormalisedInteractions:
    """Mix-in for KGIN and MCCLK: their normalised interaction graph, built by CSR."""

    def get_norm_inter_matrix(self, mode: str = "bi") -> tuple[SparseOperator, SparseOperator]:
        """Adjacency of users and entities, normalised on both sides (``bi``) or by row (``si``).

        Returns:
            the block users × entities, and the whole matrix, users first.
        """
        model: Any = self
        pairs, n_users = model.inter_matrix, model.n_users
        adjacency = bipartite_adjacency(pairs.row, pairs.col, n_users, model.n_entities)
        normalise = {"bi": normalise_symmetric, "si": normalise_rows}[mode]
        graph = normalise(adjacency)
        block = graph[:n_users, n_users:]
        return (SparseOperator.from_scipy(block, model.device),
                SparseOperator.from_scipy(graph, model.device))


class Aggregator(nn.Module):
    """Relational aggregation of entities and intent-weighted aggregation of users (KGIN §3.3).

    e_h ← mean of e_r ⊙ e_t over the triples of h; u ← (1 + Σ_p β(u, p) e_p) ⊙ Σ_i A_ui e_i with
    β(u, ·) = softmax(u · latent) and e_p = softmax(w_p) · relations.
    """

    def forward(
        self,
        entity_emb: Tensor,
        user_emb: Tensor,
        latent_emb: Tensor,
        relation_emb: Tensor,
        triples: SampledTriples,
        _: None,
        interact_mat: SparseOperator,
        disen_weight_att: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Arguments in RecBole's places; (entities [N, d], users [U, d])."""
        entities = triples.mean(entity_emb, relation_emb)
        users = torch.sparse.mm(interact_mat, entity_emb)
        intent = torch.softmax(user_emb @ latent_emb.t(), dim=1)
        path = torch.softmax(disen_weight_att, dim=-1) @ relation_emb
        return entities, users + (intent @ path) * users


class SampledGraphConv:
    """Mix-in for the graph convolutions of KGIN and MCCLK: triples instead of edge lists.

    ``edge_index`` becomes the sample that the aggregators use, ``edge_type`` None. Scoring uses
    every triple, as in the authors' code of both models; RecBole samples there too, so that a
    model scores differently at every call.
    """

    edge_index: Any
    edge_type: None

    def use_triples(self, n_entities: int) -> None:
        """Replace the edge lists; to be called once, after RecBole's constructor."""
        layer: Any = self
        triples = TripleMessages(
            layer.edge_index, layer.edge_type, n_entities, layer.n_relations
        )
        self.edge_index, self.edge_type = triples.all(), None
        layer.node_dropout = OperatorDropout(layer.mess_dropout_rate)

    def edge_sampling(
        self, edge_index: SampledTriples, edge_type: None, rate: float = 0.5
    ) -> tuple[SampledTriples, None]:
        """The triples of one step."""
        training = self.training  # type: ignore[attr-defined]
        return (edge_index.triples.sample(rate) if training else edge_index), None


class GraphConv(SampledGraphConv, RecBoleGraphConv):
    """RecBole's graph convolution with the aggregator above."""

    def __init__(self, n_entities: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.use_triples(n_entities)
        self.convs = nn.ModuleList(Aggregator() for _ in range(self.n_hops))


class KGIN(EvaluationCache, NormalisedInteractions, RecBoleKGIN):
    """RecBole's KGIN.

    - ``dok_matrix._update`` is gone: the interaction graph is built by CSR.
    - ``torch_scatter`` needs a compiler: the aggregator is a sparse product.
    - Scores use all triples (see SampledGraphConv), and RecBole's cached embeddings do not survive
      the loading of other weights (see EvaluationCache).
    """

    cached = ("restore_user_e", "restore_entity_e")

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.reg_loss = EmbLoss()
        self.gcn = GraphConv(
            self.n_entities,
            embedding_size=self.embedding_size,
            n_hops=self.context_hops,
            n_users=self.n_users,
            n_relations=self.n_relations,
            n_factors=self.n_factors,
            edge_index=self.edge_index,
            edge_type=self.edge_type,
            interact_mat=self.interact_mat,
            ind=self.ind,
            tmp=self.temperature,
            device=self.device,
            node_dropout_rate=self.node_dropout_rate,
            mess_dropout_rate=self.mess_dropout_rate,
        )
