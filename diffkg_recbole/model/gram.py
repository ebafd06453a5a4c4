"""The matrix Wᵀ W of a tall matrix W (mathematics 8.2, 8.3)."""

from __future__ import annotations

from torch import Tensor


def gram(weight: Tensor, n_strips: int = 4) -> Tensor:
    """Wᵀ W by strips of rows, each from its diagonal block on; the rest is mirrored. [H, H].

    Four strips take 10 of the 16 blocks' products.

    Args:
        weight: W, [N, H].
    """
    size = weight.shape[1]
    width = -(-size // n_strips)
    product = weight.new_empty(size, size)
    for begin in range(0, size, width):
        rows, rest = slice(begin, begin + width), slice(begin + width, None)
        product[rows, begin:] = weight[:, rows].t() @ weight[:, begin:]
        product[rest, rows] = product[rows, rest].t()
    return product
