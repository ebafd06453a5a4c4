"""KGAT without DGL."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from recbole.model.knowledge_aware_recommender.kgat import KGAT as RecBoleKGAT
from torch import Tensor

from diffkg_recbole.model.baselines.emb_loss import EmbLoss
from diffkg_recbole.model.baselines.relation_groups import RelationGroups
from diffkg_recbole.model.baselines.sparse_operator import SparseOperator
from diffkg_recbole.model.evaluation_cache import EvaluationCache
from diffkg_recbole.model.sparse import CsrPattern, row_starts, segment_softmax

# Rows of the edge scores computed at a time: [rows, relation size] floats.
_EDGES_PER_BLOCK = 1 << 17


class _GraphAsCoo:
    """The dataset with a collaborative graph in COO form, whatever form is asked for."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def ckg_graph(self, form: str = "coo", value_field: str | None = None) -> Any:
        return self._dataset.ckg_graph("coo", value_field)


class KGAT(EvaluationCache, RecBoleKGAT):
    """RecBole's KGAT.

    - No DGL: the collaborative graph is COO, and the initial attention of an edge (h, r, t) is
      1 / (number of edges of h with relation r); parallel edges add up.
    - The attention is a buffer. RecBole keeps it out of the checkpoint, so that reloaded weights
      score with the initial attention and training resumes with it.
    - The update of the attention projects each node once per relation, not once per edge, and
      bounds its memory. Triples are projected relation by relation.
    """

    cached = ("restore_user_e", "restore_entity_e")
    attention: Tensor  # [number of distinct (head, tail)] float32
    all_hs: Tensor  # heads, tails and relations of all edges, [E], by relation
    all_ts: Tensor
    all_rs: Tensor

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, _GraphAsCoo(dataset))
        del self.ckg
        self.reg_loss = EmbLoss()

    def init_graph(self) -> SparseOperator:
        """The initial attention; also sets up pattern, buffer and the edges in relation order."""
        n_nodes = self.matrix_size[0]
        order = torch.argsort(self.all_rs, stable=True)
        self.all_hs, self.all_ts, self.all_rs = (
            ids[order] for ids in (self.all_hs, self.all_ts, self.all_rs)
        )
        keys, self._entry = torch.unique(self.all_hs * n_nodes + self.all_ts, return_inverse=True)
        heads = keys // n_nodes
        self._pattern = CsrPattern(row_starts(heads, n_nodes), keys % n_nodes, n_nodes, heads)
        _, same, count = torch.unique(
            self.all_hs * self.n_relations + self.all_rs, return_inverse=True, return_counts=True
        )
        initial = torch.zeros(len(keys), dtype=torch.float64, device=keys.device)
        initial.index_add_(0, self._entry, count[same].double().reciprocal())
        self.register_buffer("attention", initial.float())
        return self.A_in

    @property
    def A_in(self) -> SparseOperator:
        """The attention matrix, [users + entities] square."""
        return SparseOperator(self._pattern, self.attention)

    @A_in.setter
    def A_in(self, operator: SparseOperator) -> None:
        self.attention = operator.values

    def _relation_matrices(self) -> Tensor:
        return self.trans_w.weight.view(-1, self.embedding_size, self.kg_embedding_size)

    def _get_kg_embedding(
        self, h: Tensor, r: Tensor, pos_t: Tensor, neg_t: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        groups, matrices = RelationGroups(r, self.n_relations), self._relation_matrices()
        h_e, pos_t_e, neg_t_e = (
            groups.product(self.entity_embedding(e), matrices) for e in (h, pos_t, neg_t)
        )
        return h_e, self.relation_embedding(r), pos_t_e, neg_t_e

    def generate_transE_score(self, hs: Tensor, ts: Tensor, r: int) -> Tensor:
        """⟨t W_r, tanh(h W_r + e_r)⟩ of edges of one relation, [len(hs)]."""
        nodes = self._get_ego_embeddings()
        matrix = self._relation_matrices()[r]
        heads, head = torch.unique(hs, return_inverse=True)
        tails, tail = torch.unique(ts, return_inverse=True)
        left = self.tanh(nodes[heads] @ matrix + self.relation_embedding.weight[r])
        right = nodes[tails] @ matrix
        return torch.cat([
            (left[h] * right[t]).sum(dim=1)
            for h, t in zip(head.split(_EDGES_PER_BLOCK), tail.split(_EDGES_PER_BLOCK))
        ])

    def update_attentive_A(self) -> None:
        """Attention from the current embeddings: softmax over each head's distinct tails.

        Scores of parallel edges add up first, as RecBole's coalescing softmax does.
        """
        sizes = np.bincount(self.all_rs.cpu().numpy(), minlength=self.n_relations).tolist()
        edges = zip(self.all_hs.split(sizes), self.all_ts.split(sizes))
        scores = torch.cat([
            self.generate_transE_score(hs, ts, r) for r, (hs, ts) in enumerate(edges) if len(hs)
        ])
        entries = torch.zeros_like(self.attention).index_add_(0, self._entry, scores)
        self.attention = segment_softmax(self._pattern, entries)
