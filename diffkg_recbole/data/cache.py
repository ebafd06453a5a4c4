"""Parsed and remapped datasets on disk, so that the next run need not read the text again.

A cache file is an ``.npz`` of plain arrays (read without pickle; the archive's checksums find
damage) and is named by what its content follows from: the sha256 of the source files' content,
and of the configuration keys, program files and library versions that decide how they are read.
Content and not time stamps, because copies, checkouts and coarse clocks make time stamps lie, and
because hashing takes a fiftieth of the parsing. A file that is missing, damaged or of another key
is made anew without a word.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import recbole
from recbole.utils import FeatureSource, FeatureType

from diffkg_recbole.files import replacing
from diffkg_recbole.shortage import as_user_error
from diffkg_recbole.store.file_hashes import data_files, sources_hash

# Every key that RecBole's and the plugin's datasets read until the ids are final. The keys of the
# later steps (the split, the protocol, the graph control) do not count: they act on what is cached.
SETTINGS = (
    "LABEL_FIELD", "ENTITY_ID_FIELD", "HEAD_ENTITY_ID_FIELD", "ITEM_ID_FIELD",
    "RELATION_ID_FIELD", "TAIL_ENTITY_ID_FIELD", "TIME_FIELD", "USER_ID_FIELD",
    "additional_feat_suffix", "alias_of_entity_id", "alias_of_item_id", "alias_of_relation_id",
    "alias_of_user_id", "benchmark_filename", "discretization", "encoding",
    "entity_kg_num_interval", "field_separator", "filter_inter_by_user_or_item",
    "item_inter_num_interval", "kg_reverse_r", "load_col", "normalize_all", "normalize_field",
    "numerical_features", "preload_weight", "relation_kg_num_interval", "rm_dup_inter", "seq_len",
    "seq_separator", "threshold", "unload_col", "user_inter_num_interval", "val_interval",
)
_FEATURES = ("inter_feat", "user_feat", "item_feat", "kg_feat")


def cache_folder(dataset_path: Path) -> Path:
    """Where the cache of a dataset lies: ``.cache`` beside the dataset's folder.

    Data inside the RecBole package (ml-100k) are cached in the user's cache folder.
    """
    if Path(recbole.__file__).parent in dataset_path.resolve().parents:
        root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        return Path(root) / "diffkg-recbole" / dataset_path.name
    return dataset_path.parent / ".cache" / dataset_path.name


class Heard(logging.LoggerAdapter):
    """A logger that remembers its warnings."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger, {})
        self.warnings: list[str] = []

    def warning(self, msg: object, *args: Any, **kwargs: Any) -> None:
        self.warnings.append(str(msg) % args if args else str(msg))
        super().warning(msg, *args, **kwargs)


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class DatasetCache:
    """The cache file of one way to read one dataset.

    Args:
        kind: name of the dataset class.
        config: configuration; ``data_path`` is the dataset's folder.
    """

    def __init__(self, kind: str, config: Any) -> None:
        folder = Path(config["data_path"])
        self._kind, self._config = kind, config
        self._sources = _digest(data_files(folder, config["dataset"]))
        self.key = _digest([
            kind, self._sources, {key: config[key] for key in SETTINGS},
            sources_hash(Path(__file__).parent),
            recbole.__version__, pd.__version__, np.__version__,
        ])
        self.path = cache_folder(folder) / f"{kind}-{self._sources[:16]}-{self.key[:16]}.npz"

    def load(self, data: Any) -> bool:
        """Give a dataset its features, ids and links; False where there is no sound cache.

        Args:
            data: dataset before anything was read.
        """
        try:
            if not self.path.is_file():  # opening a pipe would wait for ever
                return False
            with np.load(self.path, allow_pickle=False) as archive:
                description = json.loads(str(archive["description"]))
                if description["key"] != self.key:
                    return False
                state = _state(archive, description)
                warnings = [str(message) for message in description["warnings"]]
        except Exception:  # damaged in whatever way: it is made anew
            return False
        vars(data).update(state)
        for message in warnings:  # the reader of this run must know them, too
            data.logger.warning(message)
        return True

    def save(self, data: Any, warnings: list[str]) -> None:
        """Keep what a dataset has read; nothing happens where that cannot be kept or written.

        Sequence columns and additional files are not kept.

        Args:
            data: dataset whose ids are final and whose features are data frames.
            warnings: what was said while it was read.
        """
        changed = DatasetCache(self._kind, self._config).key != self.key
        if changed or self._config["additional_feat_suffix"]:
            return
        arrays, description = _content(data)
        if any(array.dtype.hasobject for array in arrays.values()):
            return
        description = {**description, "key": self.key, "warnings": warnings}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as part, part.open("wb") as file:
                arrays["description"] = np.array(json.dumps(description))
                np.savez(file, **arrays)  # type: ignore[arg-type]
            self._remove_outdated()
        except OSError as error:  # a folder that cannot be written, a full disk
            data.logger.warning(f"the parsed dataset is not kept for the next run: "
                                f"{as_user_error(error)}")

    def _remove_outdated(self) -> None:
        """Files of this class whose sources have changed since can never be read again."""
        for other in self.path.parent.glob(f"{self._kind}-*.npz"):
            if not other.name.startswith(f"{self._kind}-{self._sources[:16]}-"):
                other.unlink(missing_ok=True)


def _content(data: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and description of a dataset that was read."""
    arrays: dict[str, np.ndarray] = {}
    columns: dict[str, list[str]] = {}
    for feature in _FEATURES:
        frame = getattr(data, feature, None)
        if frame is not None:
            columns[feature] = list(frame.columns)
            for name in frame.columns:
                arrays[f"{feature}/{name}"] = _small(frame[name].to_numpy())
    spaces: dict[int, str] = {}  # RecBole lets fields of one id space share one array
    for field, tokens in data.field2id_token.items():
        if id(tokens) not in spaces:
            spaces[id(tokens)] = f"tokens/{field}"
            arrays[f"tokens/{field}"] = tokens
    if hasattr(data, "item2entity"):
        arrays["link/items"] = np.array(list(data.item2entity), dtype=str)
        arrays["link/entities"] = np.array(list(data.item2entity.values()), dtype=str)
    return arrays, {
        "columns": columns,
        "types": {field: kind.value for field, kind in data.field2type.items()},
        "sources": {field: source.value for field, source in data.field2source.items()},
        "seqlen": dict(data.field2seqlen), "bucketnum": dict(data.field2bucketnum),
        "tokens": {field: spaces[id(tokens)] for field, tokens in data.field2id_token.items()},
        "file_sizes": getattr(data, "file_size_list", None),
    }


def _small(column: np.ndarray) -> np.ndarray:
    """Ids in as few bytes as they need."""
    if column.dtype != np.int64 or len(column) == 0 or column.min() < 0:
        return column
    return column.astype(np.min_scalar_type(column.max()))


def _state(archive: Mapping[str, np.ndarray], description: dict[str, Any]) -> dict[str, Any]:
    """Attributes of a dataset, from arrays and description."""
    def column(name: str) -> np.ndarray:
        array = archive[name]
        return array.astype(np.int64) if array.dtype.kind == "u" else array

    tokens = {name: archive[name] for name in set(description["tokens"].values())}
    ids = {name: {token: i for i, token in enumerate(array)} for name, array in tokens.items()}
    state: dict[str, Any] = {
        **dict.fromkeys(_FEATURES[:3]),
        **{feature: pd.DataFrame({name: column(f"{feature}/{name}") for name in names})
           for feature, names in description["columns"].items()},
        "field2type": {f: FeatureType(kind) for f, kind in description["types"].items()},
        "field2source": {f: FeatureSource(name) for f, name in description["sources"].items()},
        "field2seqlen": description["seqlen"], "field2bucketnum": description["bucketnum"],
        "field2id_token": {f: tokens[name] for f, name in description["tokens"].items()},
        "field2token_id": {f: ids[name] for f, name in description["tokens"].items()},
    }
    if description["file_sizes"] is not None:
        state["file_size_list"] = description["file_sizes"]
    if "link/items" in archive:
        items, entities = archive["link/items"].tolist(), archive["link/entities"].tolist()
        state["item2entity"] = dict(zip(items, entities))
        state["entity2item"] = dict(zip(entities, items))
    return state
