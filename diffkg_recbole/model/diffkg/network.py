"""DiffKG without a framework: tensors in, losses and graphs out.

Ids are compact: users 0..U-1, entities 0..N-1 of which 0..I-1 are the items, relations 0..2R-1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from diffkg_recbole.model.attention import RelationAttention
from diffkg_recbole.model.denoiser import Denoiser
from diffkg_recbole.model.diffkg.settings import DiffKGSettings
from diffkg_recbole.model.diffusion import GaussianDiffusion
from diffkg_recbole.model.draws import Draws
from diffkg_recbole.model.generation import generate_top_k
from diffkg_recbole.model.graph import KnowledgeGraph
from diffkg_recbole.model.losses import bpr_loss, ckgc_target, diffusion_terms, info_nce, l2_loss
from diffkg_recbole.model.propagation import BipartiteGraph, propagate
from diffkg_recbole.model.rows import SparseRows
from diffkg_recbole.parallel import Part


class DiffKGNetwork(nn.Module):
    """Recommender, denoiser and graphs of DiffKG (Jiang et al., WSDM 2024, arXiv 2312.16890).

    docs/mathematics.md has the formulas, with the key and the function of each.

    One epoch is: a diffusion pass over the rows of the knowledge graph's 0/1 matrix A
    (:meth:`diffusion_loss` for each of :meth:`diffusion_batches`), :meth:`rebuild`, and a pass
    over the interactions (:meth:`recommender_losses`).

    Args:
        n_users, n_items: U and I.
        graph: the whole knowledge graph, one edge per ordered pair (A).
        user, item: training interactions, int64 [P] each; repeats count once.
        settings: hyper-parameters.
        draws: source of every random number except the initial parameters.

    Attributes:
        training_graph: G, at most ``triplet_num`` edges of each head, drawn once.
        denoised_graph: the rebuilt and masked graph; G before the first rebuilding.
    """

    operator: Tensor
    user: Tensor
    item: Tensor

    def __init__(
        self,
        n_users: int,
        n_items: int,
        graph: KnowledgeGraph,
        user: Tensor,
        item: Tensor,
        settings: DiffKGSettings,
        draws: Draws,
    ) -> None:
        super().__init__()
        self.n_users, self.n_items, self.n_entities = n_users, n_items, graph.n_entities
        self.settings, self.draws = settings, draws
        self.graph = graph
        self.training_graph = graph.sample(settings.triplet_num, draws.edge_keys(graph.n_edges))
        self.denoised_graph = self.training_graph
        self.rebuild_report: dict[str, Any] = {}

        dim = settings.embedding_size
        self.user_embedding = nn.Parameter(torch.empty(n_users, dim))
        self.entity_embedding = nn.Parameter(torch.empty(graph.n_entities, dim))
        self.relation_embedding = nn.Parameter(torch.empty(graph.n_relations, dim))
        self.attention = RelationAttention(
            dim=dim, n_hops=settings.n_hops, residual_weight=settings.residual_weight,
            message_dropout=settings.message_dropout,
        )
        self.denoiser = Denoiser(
            n_entities=graph.n_entities, hidden_sizes=settings.denoiser_hidden_sizes,
            time_embedding_size=settings.time_embedding_size, normalize=settings.normalize_rows,
            dropout=settings.denoiser_dropout,
        )
        self.diffusion = GaussianDiffusion(
            steps=settings.steps, noise_scale=settings.noise_scale,
            noise_min=settings.noise_min, noise_max=settings.noise_max,
        )
        pairs = BipartiteGraph(user, item, n_users, n_items)
        operator = pairs.operator(self_loops=True, dtype=self.user_embedding.dtype)
        self.register_buffer("operator", operator, persistent=False)
        self.register_buffer("user", pairs.user, persistent=False)
        self.register_buffer("item", pairs.item, persistent=False)
        for table in (self.user_embedding, self.entity_embedding, self.relation_embedding):
            nn.init.xavier_uniform_(table)

    # ---- representations and objective (mathematics 3 and 4) ----------------------------------

    def recommender_parameters(self) -> list[nn.Parameter]:
        """Every parameter but the denoiser's."""
        return [p for name, p in self.named_parameters() if not name.startswith("denoiser.")]

    def represent(self, graph: KnowledgeGraph) -> tuple[Tensor, Tensor]:
        """Users [U, d] and items [I, d]: attention over ``graph``, then graph convolution."""
        entity = self.attention(
            self.entity_embedding, self.relation_embedding, graph, draws=self.draws
        )
        return propagate(
            self.operator, self.user_embedding, entity[: self.n_items], self.settings.n_layers
        )

    def main_graph(self) -> KnowledgeGraph:
        """Graph of the view that ranks: the denoised one, or G for ``cl_pattern`` 1."""
        return self.training_graph if self.settings.cl_pattern == 1 else self.denoised_graph

    def _training_views(self) -> tuple[KnowledgeGraph, KnowledgeGraph]:
        """Graphs of the main and the auxiliary view in training."""
        denoised = (
            self.training_graph if self.settings.kg_in_training == "released"
            else self.denoised_graph
        )
        views = (denoised, self.training_graph)
        return views if self.settings.cl_pattern == 0 else (views[1], views[0])

    def recommender_losses(
        self, user: Tensor, positive: Tensor, negative: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Ranking loss, weighted L2 term and weighted contrastive loss of a batch.

        Args:
            user, positive, negative: int64 [B] each.

        Returns:
            three scalars; the objective is their sum.
        """
        settings = self.settings
        main, auxiliary = self._training_views()
        users, items = self.represent(main)
        # index_select: its backward adds rows up, that of users[user] sorts them first.
        chosen, good, bad = (table.index_select(0, ids) for table, ids in (
            (users, user), (items, positive), (items, negative)))
        ranking = bpr_loss(
            (chosen * good).sum(1), (chosen * bad).sum(1), settings.train_batch_size
        )
        penalty = settings.reg_weight * l2_loss(self.recommender_parameters())
        if settings.contrastive_weight == 0:
            return ranking, penalty, ranking.new_zeros(())
        other_users, other_items = self.represent(auxiliary)
        contrast = info_nce(
            other_items, items, positive, settings.temperature,
            block_size=settings.contrastive_block,
        ) + info_nce(
            other_users, users, user, settings.temperature, block_size=settings.contrastive_block
        )
        return ranking, penalty, settings.contrastive_weight * contrast

    # ---- diffusion (mathematics 5) --------------------------------------------------------------

    @property
    def n_rows(self) -> int:
        """Rows of A that are diffused."""
        return self.n_items if self.settings.diffuse_rows == "items" else self.n_entities

    def collaborative_target(self) -> Tensor:
        """Yᵀ E_u, [I, d]: constant while the recommender is not trained."""
        return ckgc_target(self.user, self.item, self.user_embedding.detach(), self.n_items)

    def diffusion_parts(self, n_rows: int, rank: int = 0, world: int = 1) -> list[Part]:
        """For each diffusion batch of an epoch, the rows that a process does.

        Args:
            n_rows: rows of the epoch.
            rank, world: number of the process, and of all.
        """
        size = self.settings.diffusion_batch_size
        return [Part.of(min(size, n_rows - start), rank, world)
                for start in range(0, n_rows, size)]

    def diffusion_batches(
        self, order: Tensor, parts: list[Part] | None = None
    ) -> Iterator[tuple[Tensor, SparseRows]]:
        """Entity ids and clean rows, in batches of ``diffusion_batch_size``.

        Args:
            order: entity ids of an epoch, [n] int64.
            parts: :meth:`diffusion_parts`; None: every row.
        """
        batches = order.to(self.graph.device).split(self.settings.diffusion_batch_size)
        if parts is not None:
            batches = [batch[part.rows] for batch, part in zip(batches, parts)]
        *even, last = batches  # all but the last are equally long
        if even:
            rows = SparseRows.of(self.graph, torch.cat(even))
            yield from zip(even, rows.blocks(len(even[0])))
        yield last, SparseRows.of(self.graph, last)

    def diffusion_loss(
        self, entity: Tensor, rows: SparseRows, target: Tensor, part: Part | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Loss of a diffusion batch, and its two terms (mean over the batch).

        Args:
            entity: ids of the rows, [B].
            rows: the clean rows χ_0.
            target: :meth:`collaborative_target`.
            part: where these are a part of a batch's rows. The draws are those of the whole
                batch on every process, so that all generators stay in the same state.
        """
        settings, draws = self.settings, self.draws
        part = part or Part.of(rows.n_rows)
        n_rows, own = part.n_rows, part.rows
        keep = 1 - settings.denoiser_dropout
        mask = draws.keep_mask(n_rows, self.n_entities, keep)[own] if keep < 1 else None
        elbo, ckgc = diffusion_terms(
            self.denoiser, self.diffusion, rows,
            t=draws.time_steps(n_rows, settings.steps)[own],
            noise=draws.noise(n_rows, self.n_entities, self.entity_embedding.dtype)[own],
            keep_mask=mask, target=target, entity=self.entity_embedding.detach()[entity],
        )
        weight = settings.ckgc_weight
        elbo, ckgc = elbo.mean(), ckgc.mean()
        return (1 - weight) * elbo + weight * ckgc, elbo.detach(), ckgc.detach()

    @torch.no_grad()
    def generated_top(
        self, progress: Callable[[int], Any] | None = None, part: Part | None = None
    ) -> Tensor:
        """The ``rebuild_k`` largest columns of every generated row. [n_rows, k].

        Args:
            progress: called with the number of rows after each block.
            part: rows to generate, where other processes generate the others.
        """
        settings = self.settings
        part = part or Part.of(self.n_rows)
        return generate_top_k(
            self.denoiser, self.diffusion, self.graph,
            torch.arange(part.begin, part.end, device=self.graph.device), settings.rebuild_k,
            settings.diffusion_batch_size, settings.sampling_steps,
            lambda rows: self.draws.noise(
                len(rows), self.n_entities, self.entity_embedding.dtype),
            progress,
        )

    def rebuild(self, top: Tensor) -> str | None:
        """Make the next denoised graph from generated rows and one keep draw per edge.

        Args:
            top: :meth:`generated_top`.

        Returns:
            None, or why the previous graph stays: a rebuilt graph without an edge is not used.
        """
        rows = torch.arange(self.n_rows, device=top.device)
        rebuilt = self.graph.rebuild(top, rows)
        rebuilt = self._control(rebuilt)
        uniform = self.draws.keep_uniform(rebuilt.n_edges)
        masked = rebuilt.select(torch.floor(uniform + self.settings.keep_rate) >= 1)
        inside = self.graph.contains(rows.unsqueeze(1).expand_as(top), top)
        report = {"rebuilt_edges": rebuilt.n_edges,
                  "outside_share": 1.0 - float(inside.double().mean())}
        if masked.n_edges == 0:
            self.rebuild_report = {**self.denoised_graph.statistics(), **report, "overlap": 1.0}
            lost = "no top column is an edge of the graph" if rebuilt.n_edges == 0 else (
                f"the keep rate {self.settings.keep_rate} dropped all {rebuilt.n_edges} edges")
            return f"the rebuilt graph is empty ({lost}); the previous one stays"
        self.rebuild_report = {**masked.statistics(self.denoised_graph), **report}
        self.denoised_graph = masked
        return None

    def _control(self, rebuilt: KnowledgeGraph) -> KnowledgeGraph:
        """Replace a rebuilt graph by as many random edges, where ``denoised_graph`` says so."""
        if self.settings.denoised_graph == "diffusion":
            return rebuilt
        pool = self.training_graph if self.settings.denoised_graph == "subset" else self.graph
        order = torch.argsort(self.draws.edge_keys(pool.n_edges))
        keep = torch.zeros(pool.n_edges, dtype=torch.bool)
        keep[order[: rebuilt.n_edges]] = True
        return pool.select(keep)

    # ---- state: the graphs belong to the model --------------------------------------------------

    def get_extra_state(self) -> dict[str, dict[str, Tensor]]:
        """The drawn and the rebuilt graph, stored with the parameters."""
        return {"training_graph": self.training_graph.state(),
                "denoised_graph": self.denoised_graph.state()}

    def set_extra_state(self, state: dict[str, dict[str, Tensor]]) -> None:
        """Take the graphs of a checkpoint."""
        device = self.user_embedding.device
        self.training_graph = KnowledgeGraph.from_state(state["training_graph"]).to(device)
        self.denoised_graph = KnowledgeGraph.from_state(state["denoised_graph"]).to(device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        device = self.user_embedding.device
        self.graph = self.graph.to(device)
        self.training_graph = self.training_graph.to(device)
        self.denoised_graph = self.denoised_graph.to(device)
        return self
