"""Values as plain data, and one text for equal values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any


def plain(value: Any) -> Any:
    """Reduce ``value`` to what JSON and YAML hold without loss of meaning.

    NumPy and torch scalars become numbers, arrays lists, sets sorted lists, enums their names,
    paths and devices strings; NaN and infinities become None, for which JSON has no number.

    Raises:
        TypeError: for an object with no plain form (its ``repr`` would differ between processes).
    """
    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, str)):
        return int(value) if isinstance(value, int) else str(value)  # NumPy has subclasses
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=repr)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, PurePath) or type(value).__module__ == "torch":
        return str(value)  # a path, a torch.device or torch.dtype
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    raise TypeError(f"{type(value).__name__} has no plain form: {value!r}")


def canonical_json(value: Any) -> str:
    """One text for equal values: sorted keys, no blanks, and ``1.0`` written like ``1``."""
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)  # unlike results, settings may be infinite
    value = value if isinstance(value, (Mapping, list, tuple)) else plain(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    return value
