"""RecBole's table of tensors, indexed without a detour over Python lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction


class Interactions(Interaction):
    """An ``Interaction`` that picks rows by tensors.

    RecBole turns every array of row numbers into a list of Python integers, and torch that list
    into a tensor again, once per column: 2.2 s to cut 1.8 million pairs into three parts.
    """

    def __getitem__(self, index: Any) -> Any:
        """A column by its name; the rows of a slice, range, list, array or tensor otherwise."""
        if isinstance(index, str):
            return self.interaction[index]
        if isinstance(index, (list, range, np.ndarray)):
            index = np.asarray(index) if len(index) else np.empty(0, dtype=np.int64)
            index = torch.from_numpy(index)
        return Interactions({name: _rows(column, index)
                             for name, column in self.interaction.items()})


def _rows(column: torch.Tensor, index: Any) -> torch.Tensor:
    if isinstance(index, torch.Tensor) and index.dtype == torch.int64 and index.dim() == 1:
        try:
            return column.index_select(0, index)  # three times as fast as column[index]
        except IndexError:  # counted from the end
            pass
    return column[index]
