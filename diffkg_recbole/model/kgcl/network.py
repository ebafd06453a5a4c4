"""KGCL's network, views and losses on compact ids, without RecBole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffkg_recbole.model.attention import RelationAttention
from diffkg_recbole.model.graph import KnowledgeGraph
from diffkg_recbole.model.kgcl.draws import KGCLDraws
from diffkg_recbole.model.kgcl.edge_dropout import InteractionDropout
from diffkg_recbole.model.kgcl.objective import batch_l2, ranking_sum, translation
from diffkg_recbole.model.kgcl.settings import KGCLSettings
from diffkg_recbole.model.kgcl.triples import TripleBatch, TripleSampler
from diffkg_recbole.model.kgcl.views import item_stability, keep_probability
from diffkg_recbole.model.losses import info_nce
from diffkg_recbole.model.propagation import BipartiteGraph, propagate


class View(NamedTuple):
    """A subset of the knowledge graph, and the operator of a subset of the interactions."""

    graph: KnowledgeGraph
    operator: Tensor


class KGCLLosses(NamedTuple):
    """Weighted parts of a training step's loss, scalars; their sum is minimised."""

    ranking: Tensor
    regularisation: Tensor
    contrastive: Tensor


class KGCLNetwork(nn.Module):
    r"""Knowledge graph contrastive learning (Yang et al., SIGIR 2022), mathematics 7.

    **Which version this is.** Three public programs exist. This is the authors' later one, with
    which Last-FM, MIND and Alibaba-iFashion were run: batches of 1024; two attention hops whose
    last one is read out; two propagation layers that are summed; views from random halves of the
    whole graph; users and entities in one table; one Bernoulli draw per interaction. Mathematics
    7.1 says how the program of 2022 and SSLRec's differ, mathematics 7.6 where this class departs
    from the later program. Results of the three are not comparable.

    Once per epoch, without gradient (:meth:`refresh_views`): two random subsets of the knowledge
    graph; the items' stability, the cosine of their representations under the two; keep
    probabilities from it; and two views, each one subset and the interactions that one Bernoulli
    draw kept, normalised anew.

    In every step (:meth:`recommender_losses`)::

        loss =  Σ softplus(s_un - s_up)                              main graphs, half hidden
              + reg_weight · ½ (‖u‖² + ‖p‖² + ‖n‖²) / batch
              + contrastive_weight · (InfoNCE(users) + InfoNCE(items))    view 1 against view 2

    After the steps of an epoch, TransE on all edges of the graph (:meth:`translation_loss`).

    Where the authors' text leaves a choice: what training hides of the interaction graph is
    hidden in both directions and the rest is scaled by 1/(1 - p), as dropout does; stability is
    measured without message dropout, so that an item without triples has stability 1.

    Args:
        graph: all edges of the knowledge graph, inverses included.
        interactions: the training pairs, on the graph's device.
        settings: hyper-parameters.
        draws: source of every random number after initialisation.
        dtype: of parameters and operators.
    """

    def __init__(
        self,
        graph: KnowledgeGraph,
        interactions: BipartiteGraph,
        settings: KGCLSettings,
        draws: KGCLDraws,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.draws = draws
        self.graph = graph
        self.interactions = interactions
        self._interaction_dropout = InteractionDropout(interactions, dtype)
        self._triples = TripleSampler(graph.head, graph.relation, graph.tail, graph.n_entities)
        self._views: tuple[View, View] | None = None
        size = settings.embedding_size
        # One table, users first: one Xavier bound for users and entities.
        self.node_embedding = nn.Parameter(
            torch.empty(interactions.n_users + graph.n_entities, size)
        )
        self.relation_embedding = nn.Parameter(torch.empty(graph.n_relations, size))
        self.attention = RelationAttention(
            dim=size,
            n_hops=settings.n_hops,
            residual_weight=0.0,
            message_dropout=settings.message_dropout,
            bias=True,
            readout="last",
        )
        self.reset_parameters()
        self.to(dtype)

    def reset_parameters(self) -> None:
        """Draw all parameters anew from torch's global generator."""
        nn.init.xavier_uniform_(self.node_embedding)
        nn.init.xavier_uniform_(self.relation_embedding)
        self.attention.reset_parameters()

    @property
    def user_embedding(self) -> Tensor:
        """Rows of the users in the shared table. [n_users, d]."""
        return self.node_embedding[: self.interactions.n_users]

    @property
    def entity_embedding(self) -> Tensor:
        """Rows of the entities, items first. [n_entities, d]."""
        return self.node_embedding[self.interactions.n_users :]

    # ---- representations ----------------------------------------------------------------------

    def represent(
        self, graph: KnowledgeGraph, operator: Tensor, edge_keep: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Users and items after attention over ``graph`` and propagation by ``operator``.

        Args:
            graph: edges to attend over.
            operator: normalised user-item operator.
            edge_keep: edges of ``graph`` to use, [n_edges] bool; None: all.

        Returns:
            [n_users, d] and [n_items, d].
        """
        entities = self.attention(
            self.entity_embedding, self.relation_embedding, graph,
            draws=self.draws, edge_keep=edge_keep,
        )
        items = entities[: self.interactions.n_items]
        return propagate(operator, self.user_embedding, items, self.settings.n_layers)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Users [n_users, d] and items [n_items, d] on the whole graphs, as scoring uses them.

        Call it in ``eval()`` mode; in training mode message dropout acts.
        """
        return self.represent(self.graph, self._interaction_dropout.full)

    def represent_step(self) -> tuple[Tensor, Tensor]:
        """Users and items of one training step: edges of both graphs hidden at random."""
        keep_rate = 1.0 - self.settings.edge_dropout
        edge_keep = self.draws.kg_keep(self.graph.n_edges, keep_rate)
        keep = self.draws.interaction_keep(self.interactions.n_pairs, keep_rate)
        operator = self._interaction_dropout.operator(keep, keep_rate)
        return self.represent(self.graph, operator, edge_keep)

    # ---- views --------------------------------------------------------------------------------

    @torch.no_grad()
    def refresh_views(self) -> None:
        """Draw the two views of an epoch."""
        first, second = self._graph_subset(), self._graph_subset()
        stability = item_stability(self._attended_items(first), self._attended_items(second))
        probability = keep_probability(stability, self.settings.mean_keep_rate)
        self._views = (self._view(first, probability), self._view(second, probability))

    @property
    def views(self) -> tuple[View, View]:
        """The views of this epoch.

        Raises:
            RuntimeError: :meth:`refresh_views` was not called yet.
        """
        if self._views is None:
            raise RuntimeError("refresh_views() must be called before an epoch's first step")
        return self._views

    def _graph_subset(self) -> KnowledgeGraph:
        n_edges = self.graph.n_edges
        kept = self.draws.kg_subset(n_edges, int(self.settings.subset_share * n_edges))
        keep = torch.zeros(n_edges, dtype=torch.bool)
        keep[kept] = True
        return self.graph.select(keep)

    def _attended_items(self, graph: KnowledgeGraph) -> Tensor:
        """Items after attention alone, without message dropout. [n_items, d]."""
        entities = self.attention(
            self.entity_embedding, self.relation_embedding, graph, keep_masks=()
        )
        return entities[: self.interactions.n_items]

    def _view(self, graph: KnowledgeGraph, probability: Tensor) -> View:
        """A view of a knowledge-graph subset; ``probability`` [n_items] keeps interactions."""
        pairs = self.interactions
        uniform = self.draws.interaction_uniform(pairs.n_pairs).to(probability.device)
        keep = uniform < probability[pairs.item]
        dtype = self.node_embedding.dtype
        return View(graph, pairs.operator(self_loops=False, dtype=dtype, keep=keep))

    # ---- losses -------------------------------------------------------------------------------

    def recommender_losses(self, users: Tensor, positives: Tensor, negatives: Tensor) -> KGCLLosses:
        """Losses of one training step.

        Args:
            users, positives, negatives: [batch] int64 compact ids.
        """
        settings = self.settings
        user_table, item_table = self.represent_step()
        batch = user_table[users], item_table[positives], item_table[negatives]
        (users_1, items_1), (users_2, items_2) = (
            self.represent(view.graph, view.operator) for view in self.views
        )
        contrast = info_nce(
            users_1, users_2, users, temperature=settings.temperature, reduction="sum"
        ) + info_nce(
            items_1, items_2, positives, temperature=settings.temperature, reduction="sum"
        )
        return KGCLLosses(
            ranking_sum(*batch),
            settings.reg_weight * batch_l2(*batch),
            settings.contrastive_weight * contrast,
        )

    def triple_batches(self, batch_size: int) -> Iterator[TripleBatch]:
        """Every edge once in random order with one wrong tail, for one TransE epoch."""
        return self._triples.epoch(batch_size, self.draws, self.node_embedding.device)

    def translation_loss(self, batch: TripleBatch) -> Tensor:
        """TransE loss of a batch of triples, on the embeddings before attention. Scalar."""
        # One look-up of all entities: a backward pass fills the shared table once, not thrice.
        nodes = torch.stack((batch.heads, batch.tails, batch.wrong_tails))
        nodes += self.interactions.n_users
        heads, tails, wrong_tails = functional.embedding(nodes, self.node_embedding)
        relations = functional.embedding(batch.relations, self.relation_embedding)
        reg_weight = self.settings.translation_reg_weight
        return translation(heads, relations, tails, wrong_tails, reg_weight)

    def translation_parameters(self) -> list[nn.Parameter]:
        """What TransE trains: the shared table and the relations."""
        return [self.node_embedding, self.relation_embedding]
