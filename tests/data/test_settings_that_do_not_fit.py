"""Filters and columns that do not fit a data set end in one sentence that names the key."""

from __future__ import annotations

import pytest

from diffkg_recbole.config import Config
from diffkg_recbole.data import create_dataset, data_preparation
from diffkg_recbole.errors import UserError


@pytest.fixture
def folder(tmp_path):
    rows = [f"u{u}\ti{i}\t{(u + i) % 5 + 1}\t{u * 100 + i}"
            for u in range(12) for i in range(12) if u != i]
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "x.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + "\n".join(rows) + "\n")
    return tmp_path


def load(folder, **settings):
    columns = {"load_col": {"inter": ["user_id", "item_id"]}}
    config = Config("Pop", "x", None, {"data_path": str(folder), "cache_dataset": False,
                                       **columns, **settings})
    return data_preparation(config, create_dataset(config))


@pytest.mark.parametrize(("settings", "message"), [
    ({"val_interval": {"stars": "[2,inf)"}}, "val_interval names the column 'stars'"),
    ({"threshold": {"rating": 3}}, "threshold names the column 'rating', which is not loaded"),
    ({"normalize_field": ["age"]}, "normalize_field names the column 'age'"),
    ({"alias_of_user_id": ["friend"]}, "alias_of_user_id names the column 'friend'"),
    ({"preload_weight": {"a": "b"}}, "'a'"),
    ({"discretization": {"rating": {"method": "ED", "bucket": 3}}}, "discretization names the"),
    ({"additional_feat_suffix": ["zzz"]}, "zzz"),
    ({"user_inter_num_interval": "[999,inf)"}, r"nothing is left after user_inter_num_interval"),
    ({"load_col": {"inter": ["user_id", "item_id", "rating"]},
      "val_interval": {"rating": "[9,inf)"}}, "nothing is left after val_interval"),
    ({"load_col": {"inter": ["user_id", "item_id", "stars"]}}, "line 1: has no column 'stars'"),
    ({"USER_ID_FIELD": "uid"}, r"has no column 'uid' \(did you mean 'user_id'"),
    ({"eval_args": {"order": "TO"}, "TIME_FIELD": "when"}, "has no column 'when'"),
    ({"field_separator": ","}, "line 1"),
    ({"benchmark_filename": ["a", "b", "c"]}, r"x\.a\.inter: atomic file not found"),
])
def test_one_sentence(folder, settings, message):
    with pytest.raises(UserError, match=message) as error:
        load(folder, **settings)
    assert "\n" not in str(error.value)


def test_a_split_by_time_loads_the_time(folder):
    train, valid, test = load(folder, eval_args={
        "order": "TO", "group_by": "none", "split": {"RS": [0.5, 0.25, 0.25]}})
    times = [part._dataset.inter_feat["timestamp"].numpy() for part in (valid, test)]
    newest_of_training = train._dataset.inter_feat["timestamp"].numpy().max()
    assert newest_of_training < times[0].min() <= times[0].max() < times[1].min()


def test_an_error_of_other_code_is_no_statement_about_data(folder):
    from diffkg_recbole.data.recbole_errors import told

    with pytest.raises(ValueError, match="ours"), told({"dataset": "x"}):
        raise ValueError("ours")
