"""How large a temporary matrix may be."""

from __future__ import annotations

import torch

_CPU_ENTRIES = 1 << 22  # 16 MB in float32: stays in the last-level cache
_GPU_ENTRIES = 1 << 27  # 512 MB: few, large kernels


def block_entries(device: torch.device) -> int:
    """Entries of a temporary matrix that is made and used up block by block."""
    return _CPU_ENTRIES if device.type == "cpu" else _GPU_ENTRIES
