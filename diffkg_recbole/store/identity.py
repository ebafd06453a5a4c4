"""What a run is: the content hash of everything that determines its result."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from diffkg_recbole.plain import canonical_json

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
