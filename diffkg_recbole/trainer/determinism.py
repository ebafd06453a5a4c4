"""The same sums in the same order, also with several threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Let PyTorch's CPU kernels add in a fixed order within the block.

    The gradient of ``table[ids]`` is otherwise added by all threads at once, in an order that
    changes from run to run. PyTorch's flag is a process's own; it is put back afterwards.

    Args:
        wanted: False leaves everything as it is.
    """
    if not wanted:
        yield
        return
    memory: Any = torch.utils.deterministic
    before = (torch.are_deterministic_algorithms_enabled(),
              torch.is_deterministic_algorithms_warn_only_enabled())
    filling = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = before[0] and filling  # a search for mistakes, not needed
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        memory.fill_uninitialized_memory = filling
