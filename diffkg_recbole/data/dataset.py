"""Datasets that keep every interaction and every item of the source.

RecBole's knowledge dataset drops the interactions of items without a link to the graph (2,446 of
100,000 on ml-100k); its general dataset keeps them. Compared models must see the same data, so
both classes here keep all of it, and both draw the split from ``split_seed`` alone.

Nothing depends on the order of lines: ids follow the tokens (:mod:`.token_order`), interactions and
triples are sorted by ids.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.data.dataset import Dataset, KnowledgeBasedDataset
from recbole.utils import FeatureSource, FeatureType

from diffkg_recbole.data.atomic import Wanted, read_atomic
from diffkg_recbole.data.atomic_text import check_regular_files
from diffkg_recbole.data.cache import DatasetCache, Heard
from diffkg_recbole.data.links import check_coverage, one_to_one
from diffkg_recbole.data.protocol import apply_protocol
from diffkg_recbole.data.token_order import token_order
from diffkg_recbole.data.vectorised import Vectorised
from diffkg_recbole.errors import ConfigurationError, DataError, UserError

_PAD = 0
# RecBole's keys that filter or label interactions, and the values that do nothing. RecBole reads
# none of them where the parts are given, and says nothing.
_FILTERS: dict[str, tuple[Any, ...]] = {
    "val_interval": (None, {}), "threshold": (None, {}), "rm_dup_inter": (None,),
    "user_inter_num_interval": (None, "[0,inf)"), "item_inter_num_interval": (None, "[0,inf)"),
}


class InteractionKeeping(Vectorised):
    """What both datasets change in RecBole's (a mix-in placed before RecBole's class)."""

    logger: Any
    inter_feat: Any
    protocol_report: dict[str, Any]

    def _from_scratch(self) -> None:
        """Read the atomic files, or what an earlier run has kept of them (``cache_dataset``)."""
        check_regular_files(self.config["data_path"], self.config["dataset"])
        self._refuse_filters_of_given_parts()
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

    def _refuse_filters_of_given_parts(self) -> None:
        if self.config["benchmark_filename"] is None:
            return
        for key, idle in _FILTERS.items():
            if self.config[key] not in idle:
                raise ConfigurationError(
                    key, self.config[key], "no such key together with benchmark_filename: given "
                    "parts are not filtered (filter their files, or give one undivided .inter)")

    def _load_inter_feat(self, token: str, dataset_path: str) -> None:
        super()._load_inter_feat(token, dataset_path)
        if self.inter_feat.empty:
            raise DataError(Path(dataset_path) / self._needed_files(token)[0],
                            "holds no interaction", "at least one line below the header")

    def _load_feat(self, filepath: str, source: FeatureSource | str) -> pd.DataFrame | None:
        """A file, checked from its first byte to its last; RecBole reads some wrong silently."""
        load, unload = self._get_load_and_unload_col(source)
        ids = self._id_fields(source)
        if load == set():
            if source in (FeatureSource.USER, FeatureSource.ITEM) or not ids:
                return None
            raise DataError(filepath, f"load_col names no column of '{_name_of(source)}'",
                            " and ".join(ids))
        config = self.config
        frame, types = read_atomic(
            filepath, Wanted(load, unload, ids), config["field_separator"],
            config["encoding"] or "utf-8", config["seq_separator"],
        )
        if source == "link":
            return frame
        if source in (FeatureSource.USER, FeatureSource.ITEM):
            _refuse_contradictions(filepath, frame, ids[0])
        for field, kind in types.items():
            if source == FeatureSource.INTERACTION and self.field2type.get(field, kind) != kind:
                raise DataError(filepath, f"column '{field}' has type {kind.value}",
                                f"{self.field2type[field].value}, as in the other parts", line=1)
            self.field2source[field] = source
            self.field2type[field] = kind
            self.field2seqlen[field] = self._cut_sequences(frame, field, kind)
            if kind in (FeatureType.FLOAT, FeatureType.FLOAT_SEQ):
                self.field2bucketnum[field] = 2
        return frame

    def _id_fields(self, source: FeatureSource | str) -> tuple[str, ...]:
        """Columns without which a file means nothing."""
        fields = {FeatureSource.INTERACTION: (self.uid_field, self.iid_field),
                  FeatureSource.USER: (self.uid_field,), FeatureSource.ITEM: (self.iid_field,)}
        return tuple(name for name in fields.get(source, ()) if name is not None)

    def _cut_sequences(self, frame: pd.DataFrame, field: str, kind: FeatureType) -> int:
        """Shorten sequences to ``seq_len``; returns the length of the longest, 1 for a value."""
        if kind not in (FeatureType.TOKEN_SEQ, FeatureType.FLOAT_SEQ):
            return 1
        limit = (self.config["seq_len"] or {}).get(field)
        if limit is not None:
            frame[field] = [values[:limit] for values in frame[field]]
        return max(map(len, frame[field]), default=0)

    def _remap(self, remap_list: list[tuple[pd.DataFrame, str, FeatureType]]) -> None:
        """Ids by the order of the tokens; RecBole's follow the order of lines."""
        if not remap_list:
            return
        tokens, cuts = self._concat_remaped_tokens(remap_list)
        codes, different = pd.factorize(tokens)  # -1: nothing
        order = token_order(different)
        rank = np.zeros(len(order) + 1, dtype=np.int64)
        rank[order] = np.arange(1, len(order) + 1)
        names = np.array(["[PAD]", *different[order]])
        ids = {token: number for number, token in enumerate(names)}
        for (feat, field, kind), new in zip(remap_list, np.split(rank[codes], cuts)):
            self.field2id_token.setdefault(field, names)
            self.field2token_id.setdefault(field, ids)
            if kind == FeatureType.TOKEN_SEQ:
                words = np.split(new, np.cumsum(feat[field].agg(len))[:-1])
                feat[field] = pd.Series(words, index=feat.index, dtype=object)
            else:
                feat[field] = new

    def _remap_ID_all(self) -> None:
        super()._remap_ID_all()
        sizes = getattr(self, "file_size_list", None) or [len(self.inter_feat)]
        part = np.repeat(np.arange(len(sizes)), sizes)
        # By the items' tokens and not by their ids, which are others in data with a graph.
        item = _rank_of_ids(self.field2id_token[self.iid_field])[self.inter_feat[self.iid_field]]
        user = self.inter_feat[self.uid_field].to_numpy()
        ids = (self.uid_field, self.iid_field)
        self.inter_feat = _sorted_by(self.inter_feat, [part, user * self.item_num + item], ids)

    def _remove_duplication(self) -> None:
        """As RecBole's; of equal times the first and last are those of the sorted rows."""
        if self.config["rm_dup_inter"] is not None:
            columns = [name for name in self.inter_feat.columns
                       if self.field2type[name] in (FeatureType.TOKEN, FeatureType.FLOAT)]
            self.inter_feat = self.inter_feat.sort_values(columns, ignore_index=True)
        super()._remove_duplication()

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

    def _id_fields(self, source: FeatureSource | str) -> tuple[str, ...]:
        if source == FeatureSource.KG:
            return self.head_entity_field, self.relation_field, self.tail_entity_field
        if source == "link":
            return self.iid_field, self.entity_field
        return super()._id_fields(source)

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
        """Item to entity and back, one to one."""
        path = Path(dataset_path) / f"{token}.link"
        link: Any = self._load_feat(str(path), "link")
        link, problem = one_to_one(link[self.iid_field], link[self.entity_field])
        if problem:
            self.logger.warning(f"{path}: {problem}")
        items, entities = link["item"].tolist(), link["entity"].tolist()
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
        path = Path(self.dataset_path) / f"{self.dataset_name}.link"
        warning = check_coverage(path, self.item2entity, kept, items, entities)
        if warning:
            self.logger.warning(warning)
        self.item2entity = kept
        self.entity2item = {entity: item for item, entity in kept.items()}

    def _remap_ID_all(self) -> None:
        super()._remap_ID_all()
        ends = (self.head_entity_field, self.relation_field, self.tail_entity_field)
        keys = [self.kg_feat[name].to_numpy() for name in ends]
        self.kg_feat = _sorted_by(self.kg_feat, keys, ends)

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


def _name_of(source: FeatureSource | str) -> str:
    return source.value if isinstance(source, FeatureSource) else source


def _rank_of_ids(tokens: np.ndarray) -> np.ndarray:
    """Place of each id's token in the order of tokens, [PAD] first."""
    rank = np.zeros(len(tokens), dtype=np.int64)
    rank[1 + token_order(tokens[1:])] = np.arange(1, len(tokens))
    return rank


def _sorted_by(rows: pd.DataFrame, keys: list[np.ndarray], ids: tuple[str, ...]) -> pd.DataFrame:
    """Rows in the order of the keys, then of their columns besides the ids: one order for a set."""
    further = [rows[name].to_numpy() for name in rows.columns
               if name not in ids and rows[name].dtype != object]
    order = np.lexsort([*keys, *further][::-1])
    return rows.take(order).reset_index(drop=True)


def _refuse_contradictions(path: str, frame: pd.DataFrame, field: str) -> None:
    """A user or item that stands twice says the same twice; RecBole takes the first line."""
    again = frame[field].duplicated(keep=False)
    if len(frame.columns) == 1 or not again.any():
        return
    rows = frame[again].map(lambda value: tuple(value) if isinstance(value, np.ndarray) else value)
    rows = rows.drop_duplicates()
    twice = rows[field].duplicated()
    if twice.any():
        raise DataError(path, f"'{rows[field][twice].iloc[0]}' stands twice in '{field}', with "
                        "different values", "one line for each")
