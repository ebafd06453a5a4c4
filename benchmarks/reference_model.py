"""The whole model in its plain form: a dense entity × entity matrix, autograd, plain Adam."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from benchmarks import reference
from benchmarks.reference import Edges


def edges_of(graph: Any) -> Edges:
    """Head, tail and relation of a graph's edges."""
    return graph.head, graph.tail, graph.relation


class PlainModel:
    """DiffKG by the formulas, starting from the parameters and graphs of a network.

    Args:
        network: a network of the package; parameters are copied, nothing is shared.
    """

    def __init__(self, network: Any) -> None:
        self.settings = settings = network.settings
        self.n_users, self.n_items = network.n_users, network.n_items
        tables = (network.user_embedding, network.entity_embedding, network.relation_embedding,
                  network.attention.weight)
        self.parameters = [t.detach().clone().requires_grad_() for t in tables]
        self.user, self.entity, self.relation, self.weight = self.parameters
        self.denoiser = reference.Denoiser(network.denoiser)
        self.schedule = reference.Schedule(
            settings.steps, settings.noise_scale, settings.noise_min, settings.noise_max)
        self.operator = reference.bipartite_operator(
            network.user, network.item, self.n_users, self.n_items)
        pairs = torch.stack([network.item, network.user])
        self.interactions = torch.sparse_coo_tensor(
            pairs, torch.ones(pairs.shape[1]), (self.n_items, self.n_users)).coalesce()
        self.training_edges = edges_of(network.training_graph)
        self.denoised_edges = edges_of(network.denoised_graph)
        self.relation_of = reference.relation_of_pairs(edges_of(network.graph))
        self.graph = network.graph
        rate = 1e-3
        self.optimizer = torch.optim.Adam(self.parameters, lr=rate)
        self.denoiser_optimizer = torch.optim.Adam(self.denoiser.parameters(), lr=rate)

    # ---- diffusion --------------------------------------------------------------------------

    @cached_property
    def rows(self) -> Tensor:
        """The dense 0/1 matrix of the graph, 4 N² bytes. [N, N]."""
        rows = torch.zeros(self.graph.n_entities, self.graph.n_entities)
        rows[self.graph.head, self.graph.tail] = 1.0
        return rows

    def train_denoiser(self, order: Tensor, draws: Any) -> float:
        """A pass over the rows in this order; returns the sum of the losses."""
        self.denoiser.train()
        total = 0.0
        for entity in order.split(self.settings.diffusion_batch_size):
            self.denoiser_optimizer.zero_grad()
            loss = self.diffusion_loss(entity, draws)
            loss.backward()
            self.denoiser_optimizer.step()
            total += loss.item()
        return total

    def diffusion_loss(self, entity: Tensor, draws: Any) -> Tensor:
        """Loss of a batch of rows."""
        x0 = self.rows[entity]
        return reference.diffusion_loss(
            self.denoiser, self.schedule, x0, draws.time_steps(len(x0), self.settings.steps),
            draws.noise(*x0.shape), self.interactions, self.user.detach(),
            self.entity.detach()[entity], self.settings.ckgc_weight,
        )

    def top_columns(self) -> Tensor:
        """The largest columns of every generated row, [N, k]."""
        self.denoiser.eval()
        blocks = self.rows.split(self.settings.diffusion_batch_size)
        k = self.settings.rebuild_k
        return torch.cat([
            reference.generate(self.denoiser, self.schedule, x0).topk(k, dim=1).indices
            for x0 in blocks
        ])

    def rebuild(self, top: Tensor, draws: Any) -> None:
        """The denoised graph of these columns and of one keep draw per edge."""
        edges = reference.rebuild(top, self.relation_of)
        uniform = draws.keep_uniform(len(edges)).tolist()
        kept = [e for e, u in zip(edges, uniform) if u + self.settings.keep_rate >= 1]
        if kept:
            head, tail, relation = torch.tensor(kept).T
            self.denoised_edges = head, tail, relation

    # ---- recommendation -----------------------------------------------------------------------

    def represent(self, edges: Edges, dropout: float) -> tuple[Tensor, Tensor]:
        """Users and items."""
        settings = self.settings
        entity = reference.attention(
            self.entity, self.relation, self.weight, edges, settings.n_hops,
            settings.residual_weight, dropout,
        )
        nodes = reference.propagation(
            self.operator, self.user, entity[: self.n_items], settings.n_layers)
        users, items = nodes.split([self.n_users, self.n_items])
        return users, items

    def loss(self, user: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The objective of a batch."""
        settings = self.settings
        views = [self.denoised_edges, self.training_edges]
        main, other = views if settings.cl_pattern == 0 else reversed(views)
        users, items = self.represent(main, settings.message_dropout)
        ranking = reference.bpr(users, items, (user, positive, negative), settings.train_batch_size)
        penalty = settings.reg_weight * reference.l2(self.parameters)
        other_users, other_items = self.represent(other, settings.message_dropout)
        contrast = reference.info_nce(other_items, items, positive, settings.temperature)
        contrast = contrast + reference.info_nce(other_users, users, user, settings.temperature)
        return ranking + penalty + settings.contrastive_weight * contrast

    def step(self, user: Tensor, positive: Tensor, negative: Tensor) -> float:
        """One step of the recommender; returns the loss."""
        self.optimizer.zero_grad()
        loss = self.loss(user, positive, negative)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    # ---- evaluation -----------------------------------------------------------------------------

    @torch.no_grad()
    def evaluate(
        self, users: Tensor, history: list[Tensor], positives: list[Tensor],
        cutoffs: list[int], batch_users: int,
    ) -> dict[str, float]:
        """Metrics over all items, a few users at a time.

        Args:
            users: evaluated users, [n].
            history: items of each to mask.
            positives: items of each to find.
            batch_users: users a batch.
        """
        views = (self.denoised_edges, self.training_edges)
        user, item = self.represent(views[self.settings.cl_pattern], 0.0)
        hits, counts = [], []
        for begin in range(0, len(users), batch_users):
            batch = slice(begin, begin + batch_users)
            scores = user[users[batch]] @ item.T
            scores[_places(history[batch])] = -torch.inf
            hit, count = reference.ranked_hits(scores, _places(positives[batch]), max(cutoffs))
            hits.append(hit)
            counts.append(count)
        return reference.metrics(torch.cat(hits), torch.cat(counts), cutoffs)


def _places(items: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Row and column of every listed item."""
    rows = [torch.full_like(of_user, row) for row, of_user in enumerate(items)]
    return torch.cat(rows), torch.cat(items)
