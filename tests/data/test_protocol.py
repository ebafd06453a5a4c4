"""Each protocol on a data set small enough to do it by hand."""

import numpy as np
import pytest
import torch

from diffkg_recbole.config import Config
from diffkg_recbole.errors import UserError
from diffkg_recbole.quick_start import prepare
from tests.data.small import PARTS, token_pairs, write_small


def experiment(tmp_path, protocol, model="BPR", **extra):
    values = write_small(tmp_path / protocol / model)
    return prepare(Config(model, "small", config_dict={
        **values, "eval_protocol": protocol, **extra}))


def masked_by_user(exp, loader):
    """Tokens that are masked for each evaluated user."""
    data = exp.train
    users = loader.uid_list.numpy()
    rows, items = loader.history.of(users)
    masked = {u: set() for u in data.id2token(data.uid_field, users)}
    for row, item in zip(rows.tolist(), items.tolist()):
        masked[data.id2token(data.uid_field, users[row])].add(data.id2token(data.iid_field, item))
    return masked


@pytest.mark.parametrize("model", ["BPR", "CFKG"])
def test_clean_removes_duplicates_and_training_pairs(tmp_path, model):
    exp = experiment(tmp_path, "clean", model)
    assert token_pairs(exp.train) == sorted(PARTS["train"])
    assert token_pairs(exp.valid_data._dataset) == sorted(PARTS["valid"])
    assert token_pairs(exp.test_data._dataset) == [("a", "4"), ("b", "5"), ("c", "1"), ("d", "2")]
    assert masked_by_user(exp, exp.valid_data) == {"a": {"1", "2"}, "b": {"2", "3"}}
    assert masked_by_user(exp, exp.test_data) == {
        "a": {"1", "2", "3"}, "b": {"1", "2", "3"}, "c": {"4", "5"}, "d": set()}
    assert exp.audit["test_pairs_also_in_train"] == 1
    assert exp.audit["duplicates"]["test"] == 1
    assert exp.audit["given"] == {"train": 6, "valid": 2, "test": 6}
    assert exp.audit["used"] == {"train": 6, "valid": 2, "test": 4}


@pytest.mark.parametrize("model", ["BPR", "CFKG"])
def test_authors_test_on_everything_and_mask_training_items(tmp_path, model):
    exp = experiment(tmp_path, "authors", model)
    assert token_pairs(exp.train) == sorted(PARTS["train"] + PARTS["valid"])
    assert token_pairs(exp.valid_data._dataset) == sorted(PARTS["test"])
    assert token_pairs(exp.test_data._dataset) == sorted(PARTS["test"])
    # ("a", "1") is a test positive and stays masked: it can never be hit
    assert masked_by_user(exp, exp.test_data)["a"] == {"1", "2", "3"}
    _, items = exp.test_data.positives.of(exp.test_data.uid_list.numpy()[:1])
    assert len(items) == 2  # recall divides by both positives of user a, the masked one included


@pytest.mark.parametrize("model", ["BPR", "CFKG"])
def test_recbole_unmasks_test_positives(tmp_path, model):
    exp = experiment(tmp_path, "recbole", model)
    assert token_pairs(exp.test_data._dataset) == sorted(PARTS["test"])
    assert masked_by_user(exp, exp.test_data)["a"] == {"2", "3"}


@pytest.mark.parametrize(("protocol", "recall"), [
    # user a: clean and authors mask 1, 2, 3 -> top 4, 5: hits 4 (of 4, or of 4 and the masked 1);
    # recbole unmasks the positive 1 -> top 1, 4: hits both. User b: 1, 2, 3 are masked -> top 4, 5
    # hits 5. User c: 4, 5 are masked -> top 1, 2 hits 1. User d, only in test: top 1, 2 hits 2.
    ("clean", {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}),
    ("authors", {"a": 0.5, "b": 1.0, "c": 1.0, "d": 1.0}),
    ("recbole", {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}),
])
def test_recall_by_hand(tmp_path, protocol, recall):
    """Item 1 first, 2 second and so on for everyone; cut-off 2."""
    exp = experiment(tmp_path, protocol)
    trainer = exp.build_trainer(exp.build_model())
    by_token = {t: i for i, t in enumerate(exp.train.field2id_token["item_id"])}
    order = torch.zeros(exp.train.item_num)
    for place, token in enumerate("123456"):
        order[by_token[token]] = 10 - place
    trainer.model.full_sort_predict = lambda batch: order.repeat(len(batch))
    trainer.evaluate(exp.test_data, load_best_model=False)
    ranked = trainer.evaluator.ranked
    users = exp.train.id2token("user_id", exp.test_data.uid_list.numpy()).tolist()
    got = ranked.per_user(["Recall"], [2])["recall@2"].tolist()
    assert dict(zip(users, got)) == recall
    lists = {user: "".join(exp.train.id2token("item_id", items))
             for user, items in zip(users, ranked.items)}
    assert lists == {"a": "14" if protocol == "recbole" else "45", "b": "45", "c": "12", "d": "12"}


def test_clean_removes_test_pairs_of_either_earlier_part_and_repeated_ones(tmp_path):
    parts = {
        "train": [("a", "1"), ("a", "2"), ("b", "1"), ("c", "6")],
        "valid": [("a", "3"), ("b", "2"), ("b", "1"), ("b", "2")],
        "test": [("a", "3"), ("a", "1"), ("b", "2"), ("b", "4"), ("b", "4"), ("c", "5")],
    }
    values = write_small(tmp_path, parts=parts)
    exp = prepare(Config("BPR", "small", config_dict={**values, "eval_protocol": "clean"}))
    assert token_pairs(exp.train) == sorted(parts["train"])
    assert token_pairs(exp.valid_data._dataset) == [("a", "3"), ("b", "2")]
    assert token_pairs(exp.test_data._dataset) == [("b", "4"), ("c", "5")]
    found = {key: exp.audit[key] for key in exp.audit if "also_in" in key}
    assert found == {"test_pairs_also_in_train": 1, "test_pairs_also_in_valid": 2,
                     "valid_pairs_also_in_train": 1}


def test_every_item_is_a_candidate_for_every_model(tmp_path):
    general, knowledge = (experiment(tmp_path, "clean", m) for m in ("BPR", "CFKG"))
    for exp in (general, knowledge):
        assert sorted(exp.train.field2id_token["item_id"][1:]) == list("123456")
    assert general.fingerprint["all"] == knowledge.fingerprint["all"]
    assert knowledge.dataset.entity_num - 1 == 8  # six items, x, y; "nowhere" has no triple


def test_a_fingerprint_changes_with_any_pair(tmp_path):
    first = prepare(Config("BPR", "small", config_dict=write_small(tmp_path / "1")))
    parts = {**PARTS, "test": [*PARTS["test"][:-1], ("d", "3")]}
    second = prepare(Config("BPR", "small", config_dict=write_small(tmp_path / "2", parts=parts)))
    assert first.fingerprint["train"] == second.fingerprint["train"]
    assert first.fingerprint["test"] != second.fingerprint["test"]
    assert first.fingerprint["all"] != second.fingerprint["all"]


def test_an_empty_part_is_refused(tmp_path):
    values = write_small(tmp_path, parts={**PARTS, "valid": []})
    with pytest.raises(UserError, match="validation part of 'small' holds no interaction"):
        prepare(Config("BPR", "small", config_dict=values))


def test_users_are_evaluated_in_batches_sized_from_memory(tmp_path):
    exp = experiment(tmp_path, "clean", eval_memory_mb=1)
    assert len(exp.test_data) == 1
    users = np.concatenate([batch[0]["user_id"].numpy() for batch in exp.test_data])
    np.testing.assert_array_equal(users, exp.test_data.uid_list.numpy())
