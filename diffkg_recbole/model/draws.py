"""Every random draw of a model in one object, replaceable and recordable (mathematics 6)."""

from __future__ import annotations

import torch
from torch import Tensor


class Draws:
    """Random draws from generators of their own, seeded once.

    A model asks this object for every random number it uses. Replacing the object (a subclass
    that returns recorded values, say) therefore replaces the randomness, without patching.

    Args:
        seed: seed of both generators.
        device: device of the large draws (noise, masks). Draws that index data structures kept
            on the host (edge sampling, row order) come from a host generator, so that they are
            equal on every kind of device.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._host = torch.Generator().manual_seed(seed)
        self._device = torch.Generator(device=self.device).manual_seed(seed)

    def edge_keys(self, n_edges: int) -> Tensor:
        """Uniform sort keys that pick each head's sampled edges (mathematics 2.2).

        [n_edges] float64.
        """
        return torch.rand(n_edges, generator=self._host, dtype=torch.float64)

    def row_order(self, n_rows: int) -> Tensor:
        """A permutation of the diffusion rows. [n_rows] int64, on the host."""
        return torch.randperm(n_rows, generator=self._host)

    def keep_uniform(self, n_edges: int) -> Tensor:
        """Uniform numbers behind the Bernoulli mask of the rebuilt graph. [n_edges] float32."""
        return torch.rand(n_edges, generator=self._host)

    def time_steps(self, n_rows: int, steps: int) -> Tensor:
        """Diffusion time steps, uniform in 0..steps-1. [n_rows] int64."""
        return torch.randint(steps, (n_rows,), generator=self._device, device=self.device)

    def noise(self, n_rows: int, n_columns: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal noise. [n_rows, n_columns]."""
        return torch.randn(
            n_rows, n_columns, generator=self._device, device=self.device, dtype=dtype
        )

    def keep_mask(self, n_rows: int, n_columns: int, keep: float) -> Tensor:
        """Dropout keep mask: True with probability ``keep``. [n_rows, n_columns] bool.

        Random bits decide as a uniform number does, and are drawn faster: 16 where ``keep`` is a
        multiple of 2^-16 (one half, say), else 32, more than a float32 number has.
        """
        exact = (keep * 2**16).is_integer()
        bits, word = (16, torch.int16) if exact else (32, torch.int32)
        n = n_rows * n_columns
        words = torch.empty(-(-n * bits // 64), dtype=torch.int64, device=self.device)
        words.random_(-(2**63), None, generator=self._device)
        threshold = round(keep * 2**bits) - 2 ** (bits - 1)
        largest = torch.iinfo(word).max
        if threshold > largest:  # certain to be kept
            return torch.ones(n_rows, n_columns, dtype=torch.bool, device=self.device)
        return (words.view(word)[:n] < threshold).view(n_rows, n_columns)

    def state(self) -> dict[str, Tensor]:
        """State of the generators, to be stored with a checkpoint."""
        return {"host": self._host.get_state(), "device": self._device.get_state()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Continue from a state of :meth:`state`; a state from another kind of device is
        used for the host generator only."""
        self._host.set_state(state["host"].cpu())
        if state["device"].numel() == self._device.get_state().numel():
            self._device.set_state(state["device"].cpu())
