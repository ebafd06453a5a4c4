"""Datasets that keep every interaction and every item of the source.

RecBole's knowledge dataset drops the interactions of items without a link to the graph (2,446 of
100,000 on ml-100k); its general dataset keeps them. Compared models must see the same data, so
both classes here keep all of it, and both draw the split from ``split_seed`` alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.data.dataset import Dataset, KnowledgeBasedDataset
from recbole.utils import FeatureSource, FeatureType

from diffkg_recbole.data.atomic import read_atomic
from diffkg_recbole.data.cache import DatasetCache, Heard
from diffkg_recbole.data.protocol import apply_protocol
from diffkg_recbole.data.vectorised import Vectorised
from diffkg_recbole.errors import DataError, UserError

_PAD = 0


class InteractionKeeping(Vectorised):
    """What both datasets change in RecBole's (a mix-in placed before RecBole's class)."""

    logger: Any
    inter_feat: Any
    protocol_report: dict[str, Any]

    def _from_scratch(self) -> None:
        """Read the atomic files, or what an earlier run has kept of them (``cache_dataset``)."""
        if not self.config["cache_dataset"]:
            super()._from_scratch()
            return
        cache = DatasetCache(type(self).__name__, self.config)
        self._get_preset()
        self._get_field_from_config()
        if cache.load(self):
            self._init_alias()
            self.feat_name_list = self._build_feat_name_list()
            self._preload_weight_matrix()
            return
        self.logger = heard = Heard(self.logger)
        super()._from_scratch()
        self.logger = heard.logger
        cache.save(self, heard.warnings)

    def _load_data(self, token: str, dataset_path: str) -> None:
        if not Path(dataset_path).is_dir():
            raise UserError(
                f"dataset folder '{dataset_path}' not found; convert the data first "
                f"(python -m converters --help) or set data_path"
            )
        for name in self._needed_files(token):
            if not (Path(dataset_path) / name).is_file():
                raise DataError(Path(dataset_path) / name, "atomic file not found",
                                f"the files {', '.join(self._needed_files(token))}")
        super()._load_data(token, dataset_path)

    def _needed_files(self, token: str) -> list[str]:
        parts = self.benchmark_filename_list
        return [f"{token}.inter"] if parts is None else [f"{token}.{p}.inter" for p in parts]

    def _load_feat(self, filepath: str, source: FeatureSource | str) -> pd.DataFrame | None:
        """Plain columns are read by pandas' C parser, sequence columns by RecBole."""
        load, unload = self._get_load_and_unload_col(source)
        if load == set():
            return None
        config = self.config
        frame, types = read_atomic(
            filepath, load, unload, config["field_separator"], config["encoding"] or "utf-8"
        )
        if frame is None:
            return super()._load_feat(filepath, source)
        if source != "link":
            for field, kind in types.items():
                self.field2source[field] = source
                self.field2type[field] = kind
                self.field2seqlen[field] = 1
                if kind == FeatureType.FLOAT:
                    self.field2bucketnum[field] = 2
        return frame

    def _fill_nan(self) -> None:
        """Missing tokens become [PAD], missing floats the mean, missing sequences empty."""
        for name in self.feat_name_list:
            feat = getattr(self, name)
            for field in list(feat.columns):
                kind = self.field2type[field]
                if kind == FeatureType.TOKEN:
                    feat[field] = feat[field].fillna(_PAD).astype(np.int64)
                elif kind == FeatureType.FLOAT:
                    feat[field] = feat[field].fillna(feat[field].mean())
                else:
                    empty = np.array([], np.int64 if kind == FeatureType.TOKEN_SEQ else np.float64)
                    feat[field] = [empty if isinstance(v, float) else v for v in feat[field]]

    def shuffle(self) -> None:
        """Order the interactions at random, by ``split_seed`` alone (RecBole: by ``seed``)."""
        generator = torch.Generator().manual_seed(self.config["split_seed"])
        order = torch.randperm(len(self.inter_feat), generator=generator)
        self.inter_feat = self.inter_feat[order]

    def build(self) -> list[Any]:
        """Train, validation and test part under the configured ``eval_protocol``."""
        parts = super().build()
        if len(parts) != 3:
            raise UserError(
                f"the split has {len(parts)} part(s); expected train, validation and test "
                f"(benchmark_filename: [train, valid, test], or three ratios)"
            )
        parts, self.protocol_report = apply_protocol(
            parts, self.config["eval_protocol"], self.item_num
        )
        return parts


class GeneralDataset(InteractionKeeping, Dataset):
    """Interactions and items for models without a graph."""


class KnowledgeDataset(InteractionKeeping, KnowledgeBasedDataset):
    """Interactions, items and a knowledge graph; unlinked items stay items.

    Item ids come first in the entity space: [PAD], items without a link, items with one, other
    entities. ``kg: none`` and ``kg: random`` replace the triples by a control.
    """

    kg_feat: Any
    item2entity: dict[str, str]
    entity2item: dict[str, str]

    def _needed_files(self, token: str) -> list[str]:
        return [*super()._needed_files(token), f"{token}.kg", f"{token}.link"]

    def _from_scratch(self) -> None:
        super()._from_scratch()
        self._apply_graph_control()

    def _load_kg(self, token: str, dataset_path: str) -> pd.DataFrame:
        triples = super()._load_kg(token, dataset_path)
        if triples.empty:
            raise DataError(Path(dataset_path) / f"{token}.kg", "holds no triple",
                            "a graph with at least one triple (or kg: none as a control)")
        return triples

    def _load_link(self, token: str, dataset_path: str) -> tuple[dict[str, str], dict[str, str]]:
        """Item to entity and back, one to one: of several links of one item, the first."""
        path = Path(dataset_path) / f"{token}.link"
        link = self._load_feat(str(path), "link")
        if link is None:
            raise DataError(path, "has no column that load_col names", "item_id and entity_id")
        self._check_link(link)
        doubled = link.duplicated(self.iid_field) | link.duplicated(self.entity_field)
        if doubled.any():
            self.logger.warning(
                f"{path}: {int(doubled.sum())} links repeat an item or an entity (first on line "
                f"{int(np.flatnonzero(doubled)[0]) + 2}); the first link of each is used"
            )
            link = link[~doubled]
        items, entities = link[self.iid_field].tolist(), link[self.entity_field].tolist()
        return dict(zip(items, entities)), dict(zip(entities, items))

    def _data_processing(self) -> None:
        if self.benchmark_filename_list is not None:
            # RecBole filters nothing in benchmark mode, and a link to an entity that has no
            # triple is then a KeyError.
            self.feat_name_list = self._build_feat_name_list()
            self._filter_kg_by_triple_num()
            self._filter_link()
        super()._data_processing()

    def _filter_kg_by_triple_num(self) -> None:
        everything = ("[0,inf)", None)
        if not (self.entity_kg_num_interval in everything
                and self.relation_kg_num_interval in everything):
            super()._filter_kg_by_triple_num()
        if self.kg_feat.empty:
            raise UserError(
                "no triple is left after entity_kg_num_interval / relation_kg_num_interval"
            )

    def _filter_link(self) -> None:
        """Drop links without item or triple; unlike RecBole, drop no interaction."""
        items, entities = self._tokens_of("item_id"), self._tokens_of("entity_id")
        kept = {i: e for i, e in self.item2entity.items() if i in items and e in entities}
        self.item2entity = kept
        self.entity2item = {entity: item for item, entity in kept.items()}

    def _tokens_of(self, alias: str) -> set[str]:
        tokens, _ = self._concat_remaped_tokens(self._get_remap_list(self.alias[alias]))
        return set(pd.unique(tokens))

    def _apply_graph_control(self) -> None:
        from diffkg_recbole.data.graph_control import control_triples

        control = self.config["kg"]
        if control in (None, "original"):
            return
        self.kg_feat = control_triples(
            self.kg_feat, control, self.config["seed"],
            (self.head_entity_field, self.relation_field, self.tail_entity_field),
        )
