"""Rows of a 0/1 matrix, picked from CSR: the clean samples of the diffusion (mathematics 2.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Adjacency(Protocol):
    """The part of a knowledge graph that names the ones of its entity × entity matrix."""

    @property
    def indptr(self) -> Tensor:
        """Row starts, [n_entities + 1] int64."""

    @property
    def tail(self) -> Tensor:
        """Column of each one, sorted by row, [n_edges] int64."""

    @property
    def n_entities(self) -> int:
        """Number of rows and of columns."""


@dataclass(frozen=True, eq=False)
class SparseRows:
    """A batch of 0/1 rows of length ``n_columns``.

    Attributes:
        indptr: row b has its ones at ``columns[indptr[b]:indptr[b + 1]]``, [B + 1] int64.
        columns: columns of the ones, distinct within a row, [E] int64.
        n_columns: length N of a row.
    """

    indptr: Tensor
    columns: Tensor
    n_columns: int

    @classmethod
    def of(cls, graph: Adjacency, rows: Tensor) -> SparseRows:
        """Rows of a graph's matrix, in the given order (repeats allowed).

        Waits for the device once, to learn the number of ones. Pick all rows of an epoch at once
        and cut them with :meth:`blocks`.

        Args:
            graph: CSR matrix [N, N].
            rows: row numbers, [B] int64.
        """
        rows = rows.to(graph.indptr.device)
        start = graph.indptr[rows]
        count = graph.indptr[rows + 1] - start
        indptr = torch.zeros(rows.numel() + 1, dtype=torch.int64, device=rows.device)
        torch.cumsum(count, 0, out=indptr[1:])
        # Entry e of row b lies at start[b] + (e - indptr[b]).
        shift = torch.repeat_interleave(start - indptr[:-1], count)
        place = torch.arange(shift.numel(), device=rows.device) + shift
        return cls(indptr, graph.tail[place], graph.n_entities)

    @property
    def n_rows(self) -> int:
        """Number of rows B."""
        return self.indptr.numel() - 1

    def blocks(self, size: int) -> Iterator[SparseRows]:
        """The rows in blocks of ``size``, the last one possibly shorter.

        Waits for the device once, whatever the number of blocks.
        """
        first_rows = range(0, self.n_rows, size)
        boundary = [*first_rows, self.n_rows]
        first_ones = self.indptr[boundary].tolist()
        for block, first_row in enumerate(first_rows):
            begin, end = first_ones[block], first_ones[block + 1]
            indptr = self.indptr[first_row : boundary[block + 1] + 1] - begin
            yield SparseRows(indptr, self.columns[begin:end], self.n_columns)

    def row_of_ones(self) -> Tensor:
        """Row of each one, [E] int64."""
        rows = torch.arange(self.n_rows, device=self.indptr.device)
        return torch.repeat_interleave(
            rows, self.indptr.diff(), output_size=self.columns.numel()
        )

    def flat_places(self) -> Tensor:
        """Places of the ones in the row-major dense form, all different, [E] int64."""
        return self.row_of_ones() * self.n_columns + self.columns

    def product(self, matrix: Tensor) -> Tensor:
        """The rows times a dense matrix [N, d]: sums of the matrix's rows. [B, d]."""
        return torch.nn.functional.embedding_bag(
            self.columns, matrix, self.indptr, mode="sum", include_last_offset=True
        )

    def dense(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The rows written out, [B, N]."""
        flat = torch.zeros(self.n_rows * self.n_columns, dtype=dtype, device=self.columns.device)
        return flat.index_fill_(0, self.flat_places(), 1.0).view(self.n_rows, self.n_columns)

    def distinct(self, column_key: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Which rows to keep so that every different row is kept once.

        Knowledge graphs are full of equal rows: all attributes of one item that belong to no
        other item have that item as their only neighbour.

        Rows are grouped by the sum of their columns' keys; a row that differs from its group's
        first one stands for itself, so a clash of sums costs time, never correctness. Equal rows
        whose ones are listed in different orders count as different.

        Args:
            column_key: a number for each column, [N] int64; by default well mixed ones.

        Returns:
            kept [D] int64, ascending row numbers, and copy_of [B] int64: row b equals the row
            ``kept[copy_of[b]]``.
        """
        if column_key is None:
            column_key = _mixed(torch.arange(self.n_columns, device=self.columns.device))
        totals = self.columns.new_zeros(self.columns.numel() + 1)
        torch.cumsum(column_key[self.columns], 0, out=totals[1:])  # wraps around
        signature = totals[self.indptr[1:]] - totals[self.indptr[:-1]]
        _, group = torch.unique(signature, return_inverse=True)
        row = torch.arange(self.n_rows, device=group.device)
        first = row.new_full((self.n_rows,), self.n_rows)
        first.scatter_reduce_(0, group, row, "amin")
        representative = torch.where(self._equal_rows(row, first[group]), first[group], row)
        kept, copy_of = torch.unique(representative, return_inverse=True)
        return kept, copy_of

    def _equal_rows(self, left: Tensor, right: Tensor) -> Tensor:
        """Whether row ``left[i]`` lists the same columns as row ``right[i]``; [B] bool.

        ``left`` must be all rows in order.
        """
        count = self.indptr.diff()
        same_length = count == count[right]
        shift = self.indptr[right] - self.indptr[left]
        one = torch.arange(self.columns.numel(), device=self.columns.device)
        owner = self.row_of_ones()
        partner = torch.where(same_length[owner], one + shift[owner], one)
        differs = self.columns != self.columns[partner]
        return same_length & ~torch.zeros_like(same_length).index_fill_(0, owner[differs], True)


def _mixed(number: Tensor) -> Tensor:
    """64-bit mixing (multiply, xor with the upper bits), so that sums rarely clash. int64."""
    number = (number + 1) * -7046029254386353131  # 2^64 / golden ratio, as a signed number
    number = (number ^ (number >> 29)) * -4658895280553007687
    return number ^ (number >> 32)
