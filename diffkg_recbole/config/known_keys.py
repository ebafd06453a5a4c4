"""Which configuration keys exist, so that a misspelt one is refused instead of ignored."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import recbole
from recbole.utils import argument_list

from diffkg_recbole.config.plain_yaml import read_yaml
from diffkg_recbole.errors import ConfigurationError
from diffkg_recbole.text import near_names

RECBOLE_PROPERTIES = Path(recbole.__file__).parent / "properties"

# Keys that RecBole reads or sets without listing them in one of its property files.
_UNLISTED = {
    "model", "dataset", "config_files", "gpu_id", "device", "transform", "numerical_features",
    "discretization", "nproc", "world_size", "offset", "ip", "port", "local_rank", "single_spec",
    "train_rec_step", "train_kg_step", "MODEL_TYPE", "MODEL_INPUT_TYPE", "eval_type",
    "valid_neg_sample_args", "test_neg_sample_args", "valid_metric_bigger", "loss_type",
    "seq_len", "encoding", "save_step", "pretrain_epochs", "label",
}
_READ = re.compile(r"""config\[\s*["']([A-Za-z_0-9]+)["']\s*\]""")


def keys_read_by(model_class: type) -> set[str]:
    """Keys that a model's classes read (``config["key"]``), found in their modules' source."""
    keys: set[str] = set()
    for name in {c.__module__ for c in model_class.__mro__}:
        if name.split(".")[0] not in ("builtins", "torch"):
            source = inspect.getsource(importlib.import_module(name))
            keys.update(_READ.findall(source))
    return keys


@lru_cache(maxsize=128)
def _listed_by_recbole(file: str) -> frozenset[str]:
    """Keys of one of RecBole's property files, which stay as they were installed."""
    path = RECBOLE_PROPERTIES / file
    return frozenset(read_yaml(path)[0]) if path.is_file() else frozenset()


def known_keys(model: str, model_class: type, plugin_keys: Iterable[str]) -> set[str]:
    """Every key that may stand in a configuration of this model."""
    files = [
        "overall.yaml", "dataset/sample.yaml", f"model/{model}.yaml",
        "quick_start_config/knowledge_base.yaml",
    ]
    keys = set(_UNLISTED) | set(plugin_keys) | keys_read_by(model_class)
    for file in files:
        keys |= _listed_by_recbole(file)
    for group in ("general", "training", "evaluation", "dataset"):
        keys.update(getattr(argument_list, f"{group}_arguments"))
    return keys


def refuse_unknown(
    given: Mapping[str, Any], known: set[str], sources: Mapping[str, str]
) -> None:
    """Raise for the first given key that is not known, with the near ones."""
    for key, value in given.items():
        if key not in known:
            expected = "a key that RecBole, this model or the plugin reads"
            raise ConfigurationError(
                key, value, expected + near_names(key, known), sources.get(key))
