"""Nothing of the source is lost, the split has a seed of its own, malformed files are named."""

from pathlib import Path

import numpy as np
import pytest
import recbole

from diffkg_recbole.config import Config
from diffkg_recbole.data import create_dataset
from diffkg_recbole.data.graph_control import control_triples
from diffkg_recbole.errors import DataError, UserError
from diffkg_recbole.quick_start import prepare
from tests.data.small import LINKS, TRIPLES, token_pairs, write_small

QUIET = {"show_progress": False, "state": "error"}


def ml100k(model, **values):
    return Config(model, "ml-100k", config_dict={**QUIET, **values})


@pytest.mark.parametrize("model", ["BPR", "DiffKG"])
def test_ml100k_keeps_every_interaction_and_item(model):
    exp = prepare(ml100k(model))
    source = Path(recbole.__file__).parent / "dataset_example/ml-100k/ml-100k.inter"
    pairs = sorted(tuple(line.split("\t")[:2]) for line in source.read_text().splitlines()[1:])
    assert len(pairs) == 100_000
    parts = [exp.train, exp.valid_data._dataset, exp.test_data._dataset]
    assert sorted(pair for part in parts for pair in token_pairs(part)) == pairs
    assert exp.fingerprint["counts"] == {
        "users": 943, "items": 1682, "train": 80808, "valid": 9596, "test": 9596}


def test_models_of_every_type_see_the_same_split():
    prints = [prepare(ml100k(model)).fingerprint for model in ("BPR", "DiffKG", "ItemKNN")]
    assert prints[0] == prints[1] == prints[2]


def test_seed_leaves_the_split_alone_and_split_seed_draws_it():
    same = [prepare(ml100k("BPR", seed=seed)).fingerprint["all"] for seed in (1, 2)]
    other = prepare(ml100k("BPR", split_seed=7)).fingerprint["all"]
    assert same[0] == same[1] != other


def test_item_ids_are_entity_ids_and_unlinked_items_come_first(tmp_path):
    data = prepare(Config("CFKG", "small", config_dict=write_small(tmp_path))).train
    items, entities = data.field2id_token["item_id"], data.field2id_token["entity_id"]
    assert set(items[1:3]) == {"5", "6"}
    entity_of = dict(LINKS[:4])
    for number in range(3, 7):
        assert entities[number] == entity_of[items[number]]
    triples = {(entities[h], t, entities[e]) for h, t, e in zip(
        data.head_entities, data.field2id_token["relation_id"][data.relations],
        data.tail_entities)}
    assert triples == set(TRIPLES)


def test_thinning_the_graph_drops_no_interaction(tmp_path):
    values = {**write_small(tmp_path), "relation_kg_num_interval": "[2,inf)"}
    data = create_dataset(Config("CFKG", "small", config_dict=values))
    assert len(data.inter_feat) == 14
    assert data.item_num == 7
    assert len(data.kg_feat) == 4  # r3 has one triple only


def test_repeated_links_are_told_and_the_first_counts(tmp_path, caplog):
    values = write_small(tmp_path)
    link = tmp_path / "small/small.link"
    link.write_text(link.read_text() + "5\te1\n1\te2\n")
    with caplog.at_level("WARNING"):
        data = create_dataset(Config("CFKG", "small", config_dict=values))
    assert "2 links repeat an item or an entity (first on line 7)" in caplog.text
    assert data.item2entity == dict(LINKS[:4])


@pytest.mark.parametrize(("suffix", "text", "message"), [
    ("kg", "head_id:token\trelation_id:token\ttail_id:token\n", "holds no triple"),
    ("kg", "head_id:token\trelation_id:token\ttail_id:token\na\tb\tc\nd\te\n",
     r"small.kg, line 3: has 2 columns"),
    ("kg", "head_id\trelation_id:token\ttail_id:token\n", "column 'head_id' has no known type"),
    ("link", None, "small.link: atomic file not found"),
    ("train.inter", None, "small.train.inter: atomic file not found"),
])
def test_a_malformed_file_is_named(tmp_path, suffix, text, message):
    values = write_small(tmp_path)
    path = tmp_path / f"small/small.{suffix}"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=message):
        create_dataset(Config("CFKG", "small", config_dict=values))


def test_a_knowledge_model_needs_a_graph(tmp_path):
    values = write_small(tmp_path)
    (tmp_path / "small/small.kg").unlink()
    with pytest.raises(UserError, match="CFKG is a knowledge model, but dataset 'small' has no"):
        create_dataset(Config("CFKG", "small", config_dict=values))


def test_a_missing_dataset_says_how_to_make_it(tmp_path):
    with pytest.raises(UserError, match="convert the data first"):
        create_dataset(Config("BPR", "absent", config_dict={"data_path": str(tmp_path)}))


def test_random_control_keeps_heads_and_relations():
    data = create_dataset(ml100k("CFKG"))
    fields = ("head_id", "relation_id", "tail_id")
    original = data.kg_feat
    random = control_triples(original, "random", 5, fields)
    again = control_triples(original, "random", 5, fields)
    assert random.equals(again)
    assert not random.equals(control_triples(original, "random", 6, fields))
    np.testing.assert_array_equal(random["head_id"], original["head_id"])
    np.testing.assert_array_equal(random["relation_id"], original["relation_id"])
    entities = set(original["head_id"]) | set(original["tail_id"])
    assert set(random["tail_id"]) <= entities
    assert (random["tail_id"].to_numpy() != original["tail_id"].to_numpy()).mean() > 0.99


def test_none_control_relates_no_two_entities(tmp_path):
    values = {**write_small(tmp_path), "kg": "none"}
    data = create_dataset(Config("CFKG", "small", config_dict=values))
    assert (data.kg_feat["head_id"] == data.kg_feat["tail_id"]).all()
    assert data.item_num == 7
