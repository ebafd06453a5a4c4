"""What a run is: the content hash of everything that determines its result."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

NON_DETERMINING = frozenset({
    # where files lie
    "data_path", "checkpoint_dir", "dataset_save_path", "dataloaders_save_path", "config_files",
    "store", "cache_dir", "cache_dataset", "model_file", "dataset_file", "dataloader_file",
    # where it runs; the number of data-parallel processes counts, as each draws its own batches
    "gpu_id", "use_gpu", "device", "worker", "local_rank", "offset", "ip", "port", "single_spec",
    "threads",
    # what is shown, logged and kept besides the result
    "state", "show_progress", "verbose", "saved", "save_dataset", "save_dataloaders", "log_wandb",
    "wandb_project", "log_tensorboard", "loss_decimal_place", "metric_decimal_place", "label",
    "resume", "save_recommendations",
    # batches of a full-sort evaluation change no metric
    "eval_memory_mb",
})
"""Configuration keys that leave the result as it is, and therefore the id of the run.

Every other key counts, unknown ones included: a run too many is cheaper than a wrong reuse.
The data itself counts through its fingerprint, not through its path.
"""


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


def determining(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved configuration that can change the result."""
    return {key: value for key, value in configuration.items() if key not in NON_DETERMINING}


def run_id(
    configuration: Mapping[str, Any], fingerprint: str | Mapping[str, Any], code_version: str
) -> str:
    """The id of a run: sha256 (64 hex digits) over what determines its result.

    Args:
        configuration: the resolved configuration; keys of :data:`NON_DETERMINING` are left out.
        fingerprint: hash of the data, or the mapping of a run record, whose ``"all"`` is used,
            together with ``"graph"`` (hash of the triples) where the model reads a graph.
        code_version: version of this package.
    """
    data = fingerprint
    if not isinstance(fingerprint, str):
        graph = fingerprint.get("graph")
        data = fingerprint["all"] + (f"+{graph}" if graph else "")
    parts = {"code": code_version, "configuration": determining(configuration), "data": data}
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()
