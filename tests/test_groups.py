from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest

from diffkg_recbole.errors import UserError
from diffkg_recbole.groups import (
    item_group_recall,
    item_groups,
    over_runs,
    user_group_metrics,
    user_groups,
)
from tests.run_folders import finished_run

USERS = pd.DataFrame({
    "user": ["a", "b", "c", "d", "e", "f"],
    "n_train": [9, 1, 3, 1, 20, 3],
    "recall@20": [0.9, 0.1, 0.3, 0.2, 1.0, 0.5],
    "ndcg@20": [0.0, 0.0, 0.6, 0.0, 0.5, 0.0],
})
PAIRS = pd.DataFrame({
    "user": ["a", "a", "b", "c", "d", "e", "f", "f"],
    "item": ["hit", "rare", "hit", "hit", "cold", "mid", "rare", "mid"],
    "rank": [1, 0, 20, 11, 0, 10, 3, 0],
    "item_popularity": [50, 2, 50, 50, 0, 8, 2, 8],
    "item_triples": [4, 0, 4, 4, 7, 4, 0, 4],
})


@pytest.fixture
def run(tmp_path):
    return finished_run(tmp_path, USERS, pairs=PAIRS, seed=1)


def test_user_quantiles_by_hand(run):
    """Sorted counts 1 1 3 3 9 20: the thirds start at 1, 3, 9."""
    groups = user_groups(run, number=3)
    assert groups.names == ["1", "3", "9-20"]
    assert groups.of.to_dict() == {"b": 0, "d": 0, "c": 1, "f": 1, "a": 2, "e": 2}


def test_equal_counts_stay_together(run):
    """Six groups would start at 1, 1, 3, 3, 9, 20: four remain."""
    assert user_groups(run, number=6).names == ["1", "3", "9", "20"]


def test_log_bins_by_hand(run):
    assert user_groups(run, bins="log").names == ["1", "3", "9", "20"]
    assert item_groups(run, "popularity", bins="log").names == ["0", "2", "8", "50"]
    assert item_groups(run, "triples", bins="log").of.to_dict() == {
        "rare": 0, "hit": 1, "mid": 1, "cold": 1}


def test_user_metrics_by_hand(run):
    table = user_group_metrics(run, user_groups(run, number=3))
    expected = pd.DataFrame({"group": ["1", "3", "9-20"], "users": [2, 2, 2],
                             "recall@20": [0.15, 0.4, 0.95], "ndcg@20": [0.0, 0.3, 0.25]})
    pd.testing.assert_frame_equal(table, expected)
    only = user_group_metrics(run, user_groups(run, number=3), ["ndcg@20"])
    assert list(only.columns) == ["group", "users", "ndcg@20"]


def test_groups_weighted_by_size_give_the_mean_over_users(run):
    table = user_group_metrics(run, user_groups(run, number=4))
    assert np.average(table["recall@20"], weights=table["users"]) == pytest.approx(
        run.test["recall@20"])


def test_item_recall_by_hand(run):
    """Popularity 0, 2 | 8, 50. First group: pairs a-rare, d-cold, f-rare, one hit at rank 3.
    Second: ranks 1, 20, 11, 10, 0."""
    groups = item_groups(run, "popularity", number=2)
    assert groups.names == ["0-2", "8-50"]
    table = item_group_recall(run, groups, k=20)
    assert table.to_dict("list") == {"group": ["0-2", "8-50"], "items": [2, 2], "pairs": [3, 5],
                                     "recall@20": [pytest.approx(1 / 3), pytest.approx(4 / 5)]}
    assert item_group_recall(run, groups, k=10)["recall@10"].tolist() == pytest.approx(
        [1 / 3, 2 / 5])


def test_item_groups_by_triples_by_hand(run):
    table = item_group_recall(run, item_groups(run, "triples", number=4), k=20)
    assert table["group"].tolist() == ["0", "4", "7"]
    assert table["pairs"].tolist() == [2, 5, 1]
    assert table["recall@20"].tolist() == pytest.approx([1 / 2, 4 / 5, 0])


def test_groups_of_one_run_hold_for_another_by_token(run, tmp_path):
    """A run without graph counts no triples; the groups come from the run with the graph."""
    bare = finished_run(tmp_path, USERS[::-1], kg="none", label="no graph",
                        pairs=PAIRS[::-1].assign(item_triples=0))
    grouping = item_groups(run, "triples", number=3)
    assert grouping.names == ["0", "4-7"]  # sorted 0 4 4 7: thirds start at 0, 4, 4
    pd.testing.assert_frame_equal(item_group_recall(bare, grouping, 20),
                                  item_group_recall(run, grouping, 20))
    by_activity = user_groups(run, number=3)
    pd.testing.assert_frame_equal(user_group_metrics(bare, by_activity),
                                  user_group_metrics(run, by_activity))


def test_mean_and_deviation_over_seeds(run, tmp_path):
    other = finished_run(tmp_path, USERS.assign(**{"recall@20": USERS["recall@20"] + 0.2}),
                         pairs=PAIRS, seed=2)
    table = partial(user_group_metrics, grouping=user_groups(run, number=3), metrics=["recall@20"])
    mean, sd = over_runs([run, other], table)
    assert mean["recall@20"].tolist() == pytest.approx([0.25, 0.5, 1.05])
    assert sd["recall@20"].tolist() == pytest.approx([0.02**0.5] * 3)
    assert mean["users"].tolist() == sd["users"].tolist() == [2, 2, 2]
    assert over_runs([run], table)[1]["recall@20"].isna().all()


def test_errors_say_what_is_wrong(run, tmp_path):
    groups = user_groups(run)
    stranger = finished_run(tmp_path, USERS.assign(user=list("abcdez")), seed=3)
    with pytest.raises(UserError, match=r"1 tokens are in no group .*'z'"):
        user_group_metrics(stranger, groups)
    with pytest.raises(UserError, match=r"no per-user values of \['mrr@5'\]"):
        user_group_metrics(run, groups, ["mrr@5"])
    with pytest.raises(UserError, match="recorded ranks up to 20, not 50"):
        item_group_recall(run, item_groups(run), k=50)
    with pytest.raises(ValueError, match="grouped by"):
        item_groups(run, "age")
    with pytest.raises(ValueError, match="bins must be"):
        user_groups(run, bins="equal")
    empty = finished_run(tmp_path, USERS, seed=4, pairs=PAIRS.iloc[:0])
    with pytest.raises(UserError, match="no test pairs"):
        item_groups(empty)
