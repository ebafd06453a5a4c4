"""MCCLK without torch_scatter and without the entity × entity similarity matrix."""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.knowledge_aware_recommender.mcclk import MCCLK as RecBoleMCCLK
from recbole.model.knowledge_aware_recommender.mcclk import GraphConv as RecBoleGraphConv
from torch import Tensor, nn

from diffkg_recbole.model.baselines.kgin import NormalisedInteractions, SampledGraphConv
from diffkg_recbole.model.baselines.nearest_neighbours import neighbour_graph
from diffkg_recbole.model.baselines.repeated_contrast import Occurrences, contrast
from diffkg_recbole.model.baselines.sparse_operator import SparseOperator
from diffkg_recbole.model.baselines.triple_messages import SampledTriples
from diffkg_recbole.model.evaluation_cache import EvaluationCache


class Aggregator(nn.Module):
    """Relation-aware aggregation (MCCLK §4.3): entities from triples, users from items.

    e_h ← mean over its triples of α(h, r, t) e_r ⊙ e_t with α = softmax over the triples of h of
    (‖e_h ⊙ e_r‖ ‖e_t ⊙ e_r‖)². The weight is one number per triple.
    """

    def __init__(self, item_only: bool = False, attention: bool = True) -> None:
        super().__init__()
        self.item_only, self.attention = item_only, attention

    def forward(
        self,
        entity_emb: Tensor,
        user_emb: Tensor | None,
        relation_emb: Tensor,
        sample: SampledTriples,
        _: None,
        inter_matrix: SparseOperator,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Arguments in RecBole's places; entities [N, d], or (entities, users [U, d])."""
        weights = None
        if self.attention:
            # ‖e ⊙ r‖² of every entity and relation is one product of squares.
            squared = entity_emb.square() @ relation_emb.square().t()
            head, relation, tail = (
                sample.triples.head, sample.triples.relation, sample.triples.tail
            )
            weights = sample.softmax(squared[head, relation] * squared[tail, relation])
        entities = sample.mean(entity_emb, relation_emb, weights)
        if self.item_only or user_emb is None:
            return entities
        users = torch.sparse.mm(inter_matrix, entity_emb)
        importance = torch.softmax(user_emb @ relation_emb.t(), dim=-1)
        return entities, users + (importance @ relation_emb) * users


class GraphConv(SampledGraphConv, RecBoleGraphConv):
    """RecBole's graph convolution with the aggregator above and neighbours found in blocks.

    Attributes:
        read_rows: rows of the neighbour graph that will be read, ascending; None = all.
    """

    read_rows: Tensor | None = None

    def __init__(self, n_entities: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.use_triples(n_entities)
        self.convs = nn.ModuleList(Aggregator() for _ in range(self.n_hops))
        if self.build_graph_separately:
            self.bg_convs = nn.ModuleList(
                Aggregator(item_only=True, attention=False) for _ in range(self.n_hops)
            )

    def build_adj(self, context: Tensor, topk: int) -> Tensor:
        """The normalised k-nearest-neighbour graph of the entities, CSR [N, N]."""
        return neighbour_graph(context, topk, self.read_rows)


class MCCLK(EvaluationCache, NormalisedInteractions, RecBoleMCCLK):
    """RecBole's MCCLK.

    - ``dok_matrix._update`` is gone: the interaction graph is built by CSR.
    - ``torch_scatter`` needs a compiler: the aggregators are sparse products.
    - The similarity of all entities to all (4 n² bytes, twice per batch) is taken in blocks, and
      with one layer on the neighbour graph only for entities whose similarities are used: items
      of the batch (all items when scoring) and their neighbours.
    - The contrasts take each user and item of a batch once (see repeated_contrast).
    - Scores use all triples (see SampledGraphConv), and RecBole's cached embeddings do not survive
      the loading of other weights (see EvaluationCache).
    """

    cached = ("restore_user_e", "restore_item_e", "restore_entity_e")

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        self.gcn = GraphConv(
            self.n_entities,
            config=config,
            embedding_size=self.embedding_size,
            n_relations=self.n_relations,
            edge_index=self.edge_index,
            edge_type=self.edge_type,
            inter_matrix=self.inter_matrix,
            device=self.device,
        )
        self.forget()

    def _read(self, items: Tensor) -> None:
        """Note the items, distinct and ascending, whose neighbours will be read."""
        self.gcn.read_rows = items if self.item_agg_layer == 1 else None

    def calculate_loss(self, interaction: Any) -> Tensor:
        """RecBole's loss of a batch, [], in full precision: its sparse products have no half."""
        items = torch.cat([interaction[self.ITEM_ID], interaction[self.NEG_ITEM_ID]])
        self._items, self._users = Occurrences.of(items), Occurrences.of(interaction[self.USER_ID])
        self._read(self._items.node)
        with torch.autocast(self.device.type, enabled=False):
            return super().calculate_loss(interaction)

    def local_level_loss(self, A_embedding: Tensor, B_embedding: Tensor) -> Tensor:
        """Semantic against collaborative view of the batch's items, [B, d] each."""
        items = self._items
        a, b = self.fc1(A_embedding[items.row]), self.fc1(B_embedding[items.row])
        return items.mean(contrast(a, b, items.count, self.temperature)[0])

    def global_level_loss_1(self, A_embedding: Tensor, B_embedding: Tensor) -> Tensor:
        """Structural against collaborative view of the batch's users, both ways, [B, d] each."""
        return self._both_ways(self.fc2, self._users, A_embedding, B_embedding)

    def global_level_loss_2(self, A_embedding: Tensor, B_embedding: Tensor) -> Tensor:
        """Structural against the other views of the batch's items, both ways, [B, d] each."""
        return self._both_ways(self.fc3, self._items, A_embedding, B_embedding)

    def _both_ways(
        self, project: nn.Module, nodes: Occurrences, first: Tensor, second: Tensor
    ) -> Tensor:
        one_way, other_way = contrast(
            project(first[nodes.row]), project(second[nodes.row]), nodes.count, self.temperature)
        return nodes.mean((one_way + other_way) * 0.5)

    def predict(self, interaction: Any) -> Tensor:
        """Scores of the pairs of a batch, [n]."""
        self._read(torch.unique(interaction[self.ITEM_ID]))
        return super().predict(interaction)

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of all items for the users of a batch, [users * items]."""
        self._read(torch.arange(self.n_items, device=self.device))
        return super().full_sort_predict(interaction)
