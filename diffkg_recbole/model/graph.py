"""The knowledge graph as sorted edges: building, sampling, look-up (mathematics 2) and rebuilding
(mathematics 5.6).

Everything is done on whole tensors by sorting and searching; memory grows with the number of
edges only, never with entities × entities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffkg_recbole.model.sparse import CsrPattern, row_starts

# Pairs are looked up by the key head * n_entities + tail in int64: exact below this count.
_MAX_ENTITIES = 3_000_000_000


@dataclass(frozen=True, eq=False)
class KnowledgeGraph:
    """Directed edges with one relation each, at most one edge per ordered pair. Immutable.

    Ids are compact: entities 0..n_entities-1, of which the first are the items, relations
    0..n_relations-1 with the inverses in the upper half. The head is the entity that receives
    the message; edges are sorted by (head, tail). Make graphs with :meth:`from_triples` or
    :meth:`from_edges`, which sort and check; the constructor does neither.

    Attributes:
        head: [n_edges] int64.
        tail: [n_edges] int64.
        relation: [n_edges] int64.
        indptr: edges of head h are ``indptr[h]:indptr[h + 1]``, [n_entities + 1] int64.
        n_entities: number of entities, with or without edges.
        n_relations: number of relations, inverses included.
    """

    head: Tensor
    tail: Tensor
    relation: Tensor
    indptr: Tensor
    n_entities: int
    n_relations: int

    @classmethod
    def from_triples(
        cls, triples: np.ndarray, n_entities: int, n_forward_relations: int
    ) -> KnowledgeGraph:
        """The graph A of a list of triples: distinct triples and their inverses, one edge per
        ordered pair (mathematics 2.1).

        Of several relations between the same ordered pair the first counts in the order
        "ascending forward triples, then their inverses", which is the lowest relation number.

        Args:
            triples: rows (head, relation, tail), [T, 3] integer, in any order, repeats allowed.
            n_entities: number of entities.
            n_forward_relations: number of relations R without inverses; the inverse of r is r + R.

        Raises:
            ValueError: wrong shape or dtype, or an id outside its range.
        """
        triples = np.asarray(triples)
        if triples.ndim != 2 or triples.shape[1] != 3 or triples.dtype.kind not in "iu":
            raise ValueError(
                f"triples must be integers of shape [T, 3], not {triples.dtype} {triples.shape}"
            )
        head, relation, tail = torch.tensor(triples, dtype=torch.int64).unbind(1)
        _check_range("relation", relation, n_forward_relations)
        head, tail = torch.cat((head, tail)), torch.cat((tail, head))
        relation = torch.cat((relation, relation + n_forward_relations))
        _check_entities(head, tail, n_entities)
        key = head * n_entities + tail
        order = _order(key, relation)
        first = order[_starts_a_run(key[order])]
        return cls._from_sorted(
            head[first], tail[first], relation[first], n_entities, 2 * n_forward_relations
        )

    @classmethod
    def from_edges(
        cls, head: Tensor, tail: Tensor, relation: Tensor, n_entities: int, n_relations: int
    ) -> KnowledgeGraph:
        """A graph from its edges as they are, without adding inverses.

        Args:
            head, tail, relation: [E] integer each, in any order.
            n_entities: number of entities.
            n_relations: number of relations, inverses included.

        Raises:
            ValueError: different lengths, an id outside its range, or a repeated ordered pair.
        """
        head, tail, relation = (torch.as_tensor(ids).long() for ids in (head, tail, relation))
        if not head.shape == tail.shape == relation.shape or head.ndim != 1:
            raise ValueError("head, tail and relation must be vectors of one length")
        _check_entities(head, tail, n_entities)
        _check_range("relation", relation, n_relations)
        key = head * n_entities + tail
        order = torch.argsort(key)
        if not bool(_starts_a_run(key[order]).all()):
            raise ValueError("an ordered pair (head, tail) occurs more than once")
        return cls._from_sorted(
            head[order], tail[order], relation[order], n_entities, n_relations
        )

    @classmethod
    def _from_sorted(
        cls, head: Tensor, tail: Tensor, relation: Tensor, n_entities: int, n_relations: int
    ) -> KnowledgeGraph:
        return cls(head, tail, relation, row_starts(head, n_entities), n_entities, n_relations)

    @property
    def n_edges(self) -> int:
        """Number of edges."""
        return self.head.numel()

    @property
    def device(self) -> torch.device:
        """Device of all tensors of the graph."""
        return self.head.device

    @cached_property
    def pattern(self) -> CsrPattern:
        """The adjacency matrix's pattern, row = head, column = tail; entry e is edge e."""
        return CsrPattern(self.indptr, self.tail, self.n_entities, rows=self.head)

    @cached_property
    def _keys(self) -> Tensor:
        return self.head * self.n_entities + self.tail

    @cached_property
    def _reverse(self) -> Tensor | None:
        """Edge number of the reverse of each edge; None unless every edge has one.

        Every edge has one in a graph of :meth:`from_triples`.
        """
        # If so, the edges in the order (tail, head) are the reverses in the order (head, tail).
        # Equal heads there are enough: heads and tails then are the same ids, sorted both times.
        order = self.pattern.transpose_order
        return order if torch.equal(self.head[order], self.tail) else None

    @cached_property
    def dense_slots(self) -> ScoreSlots:
        """Where each edge's two partial scores lie in the full [n_entities, 2 n_relations] table
        of (entity, relation met as head or as tail)."""
        width = 2 * self.n_relations
        return ScoreSlots(
            self.head * width + self.relation,
            self.tail * width + self.n_relations + self.relation,
            None,
        )

    @cached_property
    def distinct_slots(self) -> ScoreSlots:
        """As :attr:`dense_slots`, in a table of only those entries that occur in the graph."""
        width, dense = 2 * self.n_relations, self.dense_slots
        occurring, slot = torch.unique(torch.cat((dense.head, dense.tail)), return_inverse=True)
        rows = torch.div(occurring, width, rounding_mode="floor")
        pattern = CsrPattern(
            row_starts(rows, self.n_entities), occurring - rows * width, width, rows=rows
        )
        return ScoreSlots(slot[: self.n_edges], slot[self.n_edges :], pattern)

    def sample(self, max_edges_per_head: int, uniform_keys: Tensor | None = None) -> KnowledgeGraph:
        """At most so many edges of each head, uniformly without replacement (mathematics 2.2).

        Args:
            max_edges_per_head: -1 for all edges.
            uniform_keys: independent uniform numbers, [n_edges] float64; each head keeps its
                edges of the smallest keys. Not needed for -1.

        Raises:
            ValueError: a limit below 1 other than -1, or not one key per edge.
        """
        if max_edges_per_head == -1:
            return self
        if max_edges_per_head < 1:
            raise ValueError(f"max_edges_per_head must be -1 or positive, not {max_edges_per_head}")
        if uniform_keys is None or uniform_keys.shape != self.head.shape:
            raise ValueError("sampling needs one uniform key per edge")
        order = _order(self.head, uniform_keys.to(self.device))
        position = torch.arange(self.n_edges, device=self.device)
        rank = position - self.indptr[self.head]  # the heads are sorted, before and after
        keep = torch.empty(self.n_edges, dtype=torch.bool, device=self.device)
        keep[order] = rank < max_edges_per_head
        return self.select(keep)

    def rebuild(self, top: Tensor, rows: Tensor | None = None) -> KnowledgeGraph:
        """The graph that generated rows suggest (mathematics 5.6, steps 1 to 3).

        Pairs (row, column) of the top columns and their reverses, as far as they are edges of
        this graph, with this graph's relations.

        Args:
            top: largest columns of each generated row, [n_rows, k] int64.
            rows: entity of each generated row, [n_rows] int64; None: all entities in order.

        Raises:
            ValueError: shapes that do not fit, or an entity outside the range.
        """
        if rows is None:
            rows = torch.arange(self.n_entities, device=top.device)
        if top.ndim != 2 or rows.shape != top.shape[:1]:
            raise ValueError(f"{rows.numel()} rows do not fit top columns {list(top.shape)}")
        head = rows.to(self.device).unsqueeze(1).expand(top.shape).reshape(-1)
        tail = top.to(self.device).reshape(-1)
        _check_entities(head, tail, self.n_entities)
        if self.n_edges == 0:
            return self
        # What is not found marks a place behind the last edge: no compaction, no wait for the
        # device.
        keep = torch.zeros(self.n_edges + 1, dtype=torch.bool, device=self.device)
        for edge in self._edges_both_ways(head, tail):
            keep.index_fill_(0, edge, True)
        keep = keep[: self.n_edges]
        return self.select(keep)

    def select(self, keep: Tensor) -> KnowledgeGraph:
        """The graph of the edges where ``keep`` ([n_edges] bool) holds.

        Raises:
            ValueError: not one bool per edge.
        """
        if keep.shape != self.head.shape or keep.dtype != torch.bool:
            raise ValueError(f"keep must be bool [{self.n_edges}]")
        edge = keep.to(self.device).nonzero().squeeze(1)
        head, tail, relation = (
            ids.index_select(0, edge) for ids in (self.head, self.tail, self.relation)
        )
        return self._from_sorted(head, tail, relation, self.n_entities, self.n_relations)

    def contains(self, head: Tensor, tail: Tensor) -> Tensor:
        """Whether (head, tail) is an edge, for each pair of ids. Bool, shape of ``head``.

        Ids must lie in 0..n_entities-1; this is not checked.
        """
        return self._locate(head.to(self.device), tail.to(self.device))[1]

    def _edges_both_ways(self, head: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """Edge numbers of the pairs and of their reverses, [n] each; n_edges where there is
        none."""
        edge, found = self._locate(head, tail)
        if self._reverse is None:
            back, found_back = self._locate(tail, head)
        else:  # every edge has one
            back, found_back = self._reverse.index_select(0, edge), found
        return (edge.masked_fill_(~found, self.n_edges),
                back.masked_fill_(~found_back, self.n_edges))

    def _locate(self, head: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """Edge number of each pair, and whether the pair is an edge at all."""
        wanted = head * self.n_entities + tail
        if self.n_edges == 0:
            return torch.zeros_like(wanted), torch.zeros_like(wanted, dtype=torch.bool)
        edge = torch.searchsorted(self._keys, wanted).clamp_(max=self.n_edges - 1)
        return edge, self._keys.index_select(0, edge.view(-1)).view_as(edge) == wanted

    def statistics(self, previous: KnowledgeGraph | None = None) -> dict[str, Any]:
        """Counts for the log, as plain numbers.

        Returns:
            ``edges``, ``heads`` (entities with an edge of their own), ``distinct_tails`` and
            ``overlap``: the share of this graph's edges that are in ``previous``; None without
            a previous graph or without edges.
        """
        overlap = None
        if previous is not None and self.n_edges:
            overlap = float(previous.contains(self.head, self.tail).double().mean())
        return {
            "edges": self.n_edges,
            "heads": int((self.indptr.diff() > 0).sum()),
            "distinct_tails": int(torch.unique(self.tail).numel()),
            "overlap": overlap,
        }

    def to(self, device: torch.device | str) -> KnowledgeGraph:
        """The same graph on another device; the graph itself if it is there already."""
        # A moved tensor tells what "cuda" without an index means.
        head = self.head.to(device)
        if head is self.head:
            return self
        return KnowledgeGraph(
            head, self.tail.to(device), self.relation.to(device), self.indptr.to(device),
            self.n_entities, self.n_relations,
        )

    def state(self) -> dict[str, Tensor]:
        """Plain tensors on the host that :meth:`from_state` makes an equal graph from."""
        sizes = torch.tensor([self.n_entities, self.n_relations])
        edges = {"head": self.head, "tail": self.tail, "relation": self.relation}
        return {**{name: ids.detach().cpu() for name, ids in edges.items()}, "sizes": sizes}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> KnowledgeGraph:
        """The graph of a state of :meth:`state`, on the state's device.

        Raises:
            ValueError: the state does not describe a graph.
        """
        names = ("head", "tail", "relation", "sizes")
        parts = [state.get(name) for name in names]
        if not all(isinstance(ids, Tensor) and ids.dtype == torch.int64 for ids in parts):
            raise ValueError(f"a graph's state holds int64 tensors {', '.join(names)}")
        if state["sizes"].shape != (2,) or int(state["sizes"].min()) < 0:
            raise ValueError("a graph's state holds two sizes, entities and relations")
        n_entities, n_relations = state["sizes"].tolist()
        return cls.from_edges(
            state["head"], state["tail"], state["relation"], n_entities, n_relations
        )


@dataclass(frozen=True, eq=False)
class ScoreSlots:
    """For each edge, the places of its two partial attention scores in a flat table.

    A score depends on (head, relation) and on (tail, relation); the table has a row per entity
    and a column per relation and side: column r for r met at its head, n_relations + r for r
    met at its tail.

    Attributes:
        head: place of the head's part, [n_edges] int64.
        tail: place of the tail's part, [n_edges] int64.
        pattern: the table's entries if only some are kept; None: the table is dense.
    """

    head: Tensor
    tail: Tensor
    pattern: CsrPattern | None


def _order(primary: Tensor, secondary: Tensor) -> Tensor:
    """Positions that sort by ``primary``, then ``secondary``, then position."""
    order = torch.argsort(secondary, stable=True)
    return order[torch.argsort(primary[order], stable=True)]


def _starts_a_run(values: Tensor) -> Tensor:
    """For sorted values: True where a value differs from the one before."""
    starts = torch.ones(values.shape, dtype=torch.bool, device=values.device)
    starts[1:] = values[1:] != values[:-1]
    return starts


def _check_entities(head: Tensor, tail: Tensor, n_entities: int) -> None:
    if n_entities >= _MAX_ENTITIES:
        raise ValueError(f"pairs of {n_entities} entities do not fit 64-bit keys "
                         f"(limit {_MAX_ENTITIES})")
    _check_range("head", head, n_entities)
    _check_range("tail", tail, n_entities)


def _check_range(name: str, ids: Tensor, size: int) -> None:
    if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < size:
        raise ValueError(
            f"{name} ids must lie in 0..{size - 1}, found {int(ids.min())}..{int(ids.max())}"
        )
