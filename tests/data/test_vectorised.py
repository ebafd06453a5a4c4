"""What replaces RecBole's loops returns what the loops return."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.data.dataset import Dataset, KnowledgeBasedDataset
from recbole.data.interaction import Interaction

from diffkg_recbole.config import Config
from diffkg_recbole.data.dataset import GeneralDataset, KnowledgeDataset
from diffkg_recbole.data.interactions import Interactions

QUIET = {"show_progress": False, "state": "error", "cache_dataset": False}


class LoopingGeneral(GeneralDataset):
    """Our dataset with RecBole's own methods."""

    _dataframe_to_interaction = Dataset._dataframe_to_interaction
    join = Dataset.join
    _get_illegal_ids_by_inter_num = Dataset._get_illegal_ids_by_inter_num
    split_by_ratio = Dataset.split_by_ratio


class LoopingKnowledge(KnowledgeDataset):
    """The same with a graph."""

    _dataframe_to_interaction = KnowledgeBasedDataset._dataframe_to_interaction
    _get_illegal_ids_by_inter_num = KnowledgeBasedDataset._get_illegal_ids_by_inter_num
    split_by_ratio = KnowledgeBasedDataset.split_by_ratio


def same_columns(left, right):
    assert left.columns == right.columns
    for name in left.columns:
        assert left[name].dtype == right[name].dtype
        assert torch.equal(left[name], right[name]), name


@pytest.mark.parametrize("index", [
    [3, 0, 3], range(2, 5), np.array([4, 1]), torch.tensor([1, 1]), slice(1, 3), [],
    np.array([-1, 2]), torch.tensor([True, False, False, False, True]), torch.tensor(3),
    np.array([True, False, True, False, False]), np.array([], dtype=np.int64), 2,
], ids=str)
def test_rows_are_picked_as_recbole_picks_them(index):
    columns = {"user_id": torch.arange(5), "rating": torch.rand(5), "seq": torch.rand(5, 3)}
    same_columns(Interactions(columns)[index], Interaction(columns)[index])
    assert torch.equal(Interactions(columns)["rating"], columns["rating"])


@pytest.mark.parametrize("index", [[5], [-6], np.array([9])], ids=str)
def test_rows_that_are_not_there(index):
    with pytest.raises(IndexError):
        Interactions({"user_id": torch.arange(5)})[index]


@pytest.mark.parametrize("values", [
    {},
    {"user_inter_num_interval": "[30,100]", "item_inter_num_interval": "[10,inf)"},
    {"user_inter_num_interval": "[20,40];(60,90)"},
    {"eval_args": {"split": {"RS": [0.7, 0.1, 0.2]}, "order": "TO", "group_by": "user",
                   "mode": "full"}},
    {"eval_args": {"split": {"RS": [7, 2, 1]}, "order": "RO", "group_by": "none",
                   "mode": "full"}},
    {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "RO", "group_by": "user",
                   "mode": "full"}},
], ids=["default", "core", "intervals", "time", "ungrouped", "one-out"])
def test_datasets_are_built_as_by_recboles_loops(values):
    config = Config("BPR", "ml-100k", config_dict={**QUIET, **values})
    fast, slow = (dataset(config).build() for dataset in (GeneralDataset, LoopingGeneral))
    assert [len(part) for part in fast] == [len(part) for part in slow]
    for left, right in zip(fast, slow):
        same_columns(left.inter_feat, right.inter_feat)
        same_columns(left.item_feat, right.item_feat)


@pytest.mark.parametrize("columns", [
    {"user": ["user_id"], "item": ["item_id"]},
    {"user": ["user_id", "age", "gender"], "item": ["item_id", "release_year", "class"]},
    {"item": ["item_id", "release_year"]}, {"user": ["user_id", "age"]}, {},
], ids=str)
def test_features_are_joined_as_by_recbole(columns):
    config = Config("BPR", "ml-100k", config_dict={
        **QUIET, "load_col": {"inter": ["user_id", "item_id", "rating"], **columns}})
    data = GeneralDataset(config)
    data.build()
    rows = {"user_id": torch.tensor([5, 1, 5]), "item_id": torch.tensor([7, 9, 2])}
    for names in (["user_id", "item_id"], ["user_id"], ["item_id"]):
        chosen = {name: rows[name] for name in names}
        same_columns(data.join(Interactions(chosen)), Dataset.join(data, Interaction(chosen)))


def test_graphs_are_thinned_as_by_recboles_loops():
    config = Config("CFKG", "ml-100k", config_dict={
        **QUIET, "entity_kg_num_interval": "[15,200]", "relation_kg_num_interval": "[100,inf)"})
    fast, slow = KnowledgeDataset(config), LoopingKnowledge(config)
    pd.testing.assert_frame_equal(fast.kg_feat, slow.kg_feat)
    assert 0 < len(fast.kg_feat) < 30_000
    assert fast.item2entity == slow.item2entity


@pytest.mark.parametrize("interval", ["[0,inf)", "[3,8]", "(2,5);[7,7]", "nonsense", None])
def test_ids_outside_an_interval(interval):
    data = GeneralDataset(Config("BPR", "ml-100k", config_dict=QUIET))
    rng = np.random.default_rng(1)
    number = Counter({f"i{k}": int(n) for k, n in enumerate(rng.integers(1, 12, 200))})
    listed = pd.DataFrame({"item_id": [f"i{k}" for k in range(150, 260)]})
    intervals = None if interval is None else data._parse_intervals_str(interval)
    for feat in (None, listed):
        number_of = number if interval else Counter()
        got, expected = (cls._get_illegal_ids_by_inter_num(
            data, "item_id", feat, number_of, intervals) for cls in (GeneralDataset, Dataset))
        assert got == expected
