"""The order of tokens, from which ids follow: never the order of lines.

Tokens that are all whole numbers stand in the order of their values, others in that of their
characters' code points.
"""

from __future__ import annotations

import numpy as np

from diffkg_recbole.errors import UserError

_DIGITS = 18  # what int64 holds whatever the digits are
# RecBole keeps tokens in an array as wide as the longest one.
MAX_ARRAY_BYTES = 4 * 2**30


def token_order(tokens: np.ndarray) -> np.ndarray:
    """Places of distinct tokens in their order. [n] int64.

    Args:
        tokens: [n] str, as objects or of fixed width.

    Raises:
        UserError: an array of such tokens would not fit into memory.
    """
    longest = max(map(len, tokens), default=0) if tokens.dtype == object else 0
    if 4 * longest * len(tokens) > MAX_ARRAY_BYTES:
        raise UserError(
            f"{len(tokens)} tokens of up to {longest} characters do not fit into memory; expected "
            f"shorter names (the longest begins with '{max(tokens, key=len)[:40]}')")
    text = np.asarray(tokens, dtype=str)
    numbers = _whole_numbers(text)
    if numbers is None:
        return np.argsort(text, kind="stable")
    return np.lexsort((text, numbers))  # 7 before 07


def _whole_numbers(text: np.ndarray) -> np.ndarray | None:
    """The tokens' values, or None where one is no whole number."""
    width = text.dtype.itemsize // 4
    if len(text) == 0 or not 0 < width <= _DIGITS:
        return None
    letters = np.ascontiguousarray(text).view(np.uint32).reshape(len(text), width)
    fill = letters == 0
    if not (fill | ((letters >= ord("0")) & (letters <= ord("9")))).all() or fill[:, 0].any():
        return None
    return text.astype(np.int64)
