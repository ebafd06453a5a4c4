"""Negative samplers: same draws as RecBole's, never a positive, errors that say what to do."""

from types import SimpleNamespace

import numpy as np
import pytest
from recbole.sampler import KGSampler, Sampler

from diffkg_recbole.config import Config
from diffkg_recbole.data import create_dataset
from diffkg_recbole.data.sampler import KnowledgeSampler, PairSampler, UsedPairs
from diffkg_recbole.errors import UserError
from tests.data.small import ITEMS, PARTS, write_small

PHASES = ["train", "valid", "test"]


@pytest.fixture
def parts(tmp_path):
    return create_dataset(Config("CFKG", "small", config_dict=write_small(tmp_path))).build()


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("distribution", ["uniform", "popularity"])
def test_draws_equal_recboles(parts, phase, distribution):
    users = np.array([1, 2, 3, 1, 2, 3, 3, 1] * 5)
    drawn = []
    for sampler_class in (Sampler, PairSampler):
        sampler = sampler_class(PHASES, parts, distribution).set_phase(phase)
        np.random.seed(4)
        drawn.append(sampler.sample_by_user_ids(users, None, 2).numpy())
    np.testing.assert_array_equal(*drawn)


def test_negative_tails_equal_recboles(parts):
    heads = parts[0].head_entities
    drawn = []
    for sampler_class in (KGSampler, KnowledgeSampler):
        sampler = sampler_class(parts[0])
        np.random.seed(9)
        drawn.append(sampler.sample_by_entity_ids(np.tile(heads, 6), 1).numpy())
    np.testing.assert_array_equal(*drawn)


def test_a_negative_is_never_used_before_nor_padding(parts):
    sampler = PairSampler(PHASES, parts).set_phase("train")
    train = parts[0].inter_feat
    users = np.repeat(train["user_id"].numpy(), 50)
    negatives = sampler.sample_by_user_ids(users, None, 1).numpy()
    used = set(zip(train["user_id"].tolist(), train["item_id"].tolist()))
    assert negatives.min() >= 1
    assert not used & set(zip(users.tolist(), negatives.tolist()))


def test_a_user_of_every_item_is_refused(tmp_path):
    parts = {**PARTS, "train": [*PARTS["train"], *(("e", item) for item in ITEMS)]}
    dataset = create_dataset(Config("BPR", "small", config_dict=write_small(tmp_path, parts=parts)))
    with pytest.raises(UserError, match=r"1 user\(s\) interacted with every item \('e'\).* given "
                                        "parts, or list further items"):
        PairSampler(PHASES, dataset.build())


def undivided(tmp_path, rows, **extra):
    """The small data set with one undivided file of these pairs."""
    values = {**write_small(tmp_path), "benchmark_filename": None, **extra}
    text = "".join(f"{user}\t{item}\n" for user, item in rows)
    (tmp_path / "small/small.inter").write_text("user_id:token\titem_id:token\n" + text)
    return create_dataset(Config("BPR", "small", config_dict=values))


def test_the_advice_for_a_user_of_every_item_works(tmp_path):
    rows = [(user, item) for user in "abcdefgh" for item in ITEMS[:4]]
    rows += [("full", item) for item in ITEMS]
    with pytest.raises(UserError, match=r"user_inter_num_interval: \[0,6\)"):
        PairSampler(PHASES, undivided(tmp_path / "1", rows).build())
    data = undivided(tmp_path / "2", rows, user_inter_num_interval="[0,6)")
    PairSampler(PHASES, data.build())
    assert "full" not in data.field2token_id["user_id"]


def test_listing_further_items_works_too(tmp_path):
    parts = {**PARTS, "train": [*PARTS["train"], *(("e", item) for item in ITEMS)]}
    values = write_small(tmp_path, parts=parts)
    with (tmp_path / "small/small.item").open("a") as file:
        file.write("7\n")
    PairSampler(PHASES, create_dataset(Config("BPR", "small", config_dict=values)).build())


def test_a_head_joined_to_every_entity_is_refused():
    graph = SimpleNamespace(
        head_entity_field="head_id", tail_entity_field="tail_id", entity_num=4,
        head_entities=np.array([1, 2, 2, 2]), tail_entities=np.array([2, 1, 2, 3]))
    with pytest.raises(UserError, match=r"1 entity\(s\) are joined to every entity"):
        KnowledgeSampler(graph)


def test_used_pairs_of_nothing():
    used = UsedPairs(np.array([], dtype=int), np.array([], dtype=int), 5)
    assert used.contains(np.array([0, 1]), np.array([1, 2])).tolist() == [False, False]
