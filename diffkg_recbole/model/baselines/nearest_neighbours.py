"""The k most similar rows of an embedding table, without the n × n similarity matrix."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from diffkg_recbole.model.sparse import csr_tensor

# Similarities held at a time; 2^24 float32 are 64 MB.
_SIMILARITIES_PER_BLOCK = 1 << 24
# A row is searched through the maxima of groups of this many neighbours.
_GROUP = 64


def top_k_of_rows(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest entries of each row, largest first; equal to ``torch.topk``, ties aside.

    The k largest entries lie in the k groups of columns with the largest maxima, so that only
    those groups are searched: one pass over the row instead of a partial sort of it.

    Args:
        scores: [b, n] with n a multiple of the group size, n >= k.

    Returns:
        values and columns, [b, k].
    """
    b, n = scores.shape
    grouped = scores.view(b, n // _GROUP, _GROUP)
    group = grouped.amax(dim=2).topk(min(k, n // _GROUP), dim=1).indices
    candidates = grouped.gather(1, group.unsqueeze(2).expand(-1, -1, _GROUP)).flatten(1)
    value, position = candidates.topk(k, dim=1)
    chosen = group.gather(1, torch.div(position, _GROUP, rounding_mode="floor"))
    return value, chosen * _GROUP + position % _GROUP


def nearest_neighbours(x: Tensor, k: int, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Cosine similarity of rows of x to their k most similar rows of x, themselves included.

    Memory is O(block × n); the n × n matrix never exists.

    Args:
        x: [n, d], no zero row.
        k: neighbours of each row, at most n.
        rows: which rows, [m] int64; None = all.

    Returns:
        similarities and row numbers, [m, k], largest first.
    """
    n = x.shape[0]
    unit = x / x.norm(dim=1, keepdim=True)
    padded = F.pad(unit, (0, 0, 0, -n % _GROUP))
    wanted = unit if rows is None else unit[rows]
    step = max(1, _SIMILARITIES_PER_BLOCK // padded.shape[0])
    buffer = x.new_empty(min(step, len(wanted)), padded.shape[0])
    values, columns = [wanted.new_empty(0, k)], [wanted.new_empty(0, k, dtype=torch.int64)]
    for block in wanted.split(step):
        similarity = torch.mm(block, padded.t(), out=buffer[: len(block)])
        similarity[:, n:] = float("-inf")
        value, column = top_k_of_rows(similarity, k)
        values.append(value)
        columns.append(column)
    return torch.cat(values), torch.cat(columns)


@torch.no_grad()
def neighbour_graph(x: Tensor, k: int, rows: Tensor | None = None) -> Tensor:
    """D^-1/2 S D^-1/2 of the k-nearest-neighbour similarities S, D its row sums. CSR [n, n].

    Carries no gradient (RecBole's graph does not either: it is built from ``.data``).

    Args:
        x: [n, d], no zero row.
        k: neighbours of each row.
        rows: the rows that will be read, ascending, [m]; the others stay empty. None = all.
    """
    n = x.shape[0]
    value, column = nearest_neighbours(x, k, rows)
    rows = torch.arange(n, device=x.device) if rows is None else rows
    # The normalisation needs the row sums of the neighbours, too.
    further = torch.unique(column)
    further = further[torch.isin(further, rows, invert=True)]
    scale = x.new_zeros(n)
    scale[rows] = value.sum(dim=1).rsqrt()
    scale[further] = nearest_neighbours(x, k, further)[0].sum(dim=1).rsqrt()
    value = scale[rows].unsqueeze(1) * value * scale[column]
    column, order = column.sort(dim=1)  # CSR wants ascending columns
    entries = torch.zeros(n, dtype=torch.int64, device=x.device).index_fill_(0, rows, k)
    indptr = torch.cat([entries.new_zeros(1), entries.cumsum(0)])
    return csr_tensor(indptr, column.flatten(), value.gather(1, order).flatten(), (n, n))
