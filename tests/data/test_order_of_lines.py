"""Shuffled files give the same data, models and metrics; ids follow the tokens."""

import numpy as np
import pandas as pd
import pytest
import torch

from diffkg_recbole.config import Config
from diffkg_recbole.data import create_dataset
from diffkg_recbole.data.links import one_to_one
from diffkg_recbole.data.token_order import MAX_ARRAY_BYTES, token_order
from diffkg_recbole.errors import UserError
from diffkg_recbole.quick_start import prepare
from tests.data.small import write_small
from tests.data.synthetic import write_synthetic


def rearrange(folder, how):
    """Reverse or shuffle the lines of every atomic file, and add repeated links."""
    for path in folder.iterdir():
        header, *lines = path.read_text().splitlines()
        if how == "reversed":
            lines = lines[::-1]
        else:
            lines = np.random.default_rng(how).permutation(lines).tolist() if lines else []
        path.write_text("\n".join([header, *lines]) + "\n")


def write(root, how):
    """The synthetic data with several relations of a pair, ratings, and links that repeat."""
    values = write_synthetic(root)
    folder = root / "synthetic"
    with (folder / "synthetic.kg").open("a") as file:
        file.writelines(f"e{n}\tr{r}\ta0_1\n" for n in range(5, 30) for r in (2, 0, 1, 10))
    with (folder / "synthetic.link").open("a") as file:
        file.write("i7\te9\ni8\te5\n")
    if how is not None:
        rearrange(folder, how)
    return {**values, "epochs": 2, "train_batch_size": 64, "eval_step": 1, "use_gpu": False}


def undivided(root, how, **extra):
    values = write(root, how)
    folder = root / "synthetic"
    rows = [line for part in ("train", "valid", "test")
            for line in (folder / f"synthetic.{part}.inter").read_text().splitlines()[1:]]
    if how is None:
        rows.sort()
    lines = [f"{row}\t{1 + len(row) * row.count('1') % 5}\t{row.count('2')}" for row in rows]
    lines += [f"{row}\t2\t1" for row in sorted(rows)[::4]]  # pairs that stand twice
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    (folder / "synthetic.inter").write_text("\n".join([header, *lines]) + "\n")
    if how is not None:
        rearrange(folder, how)
    return {**values, "benchmark_filename": None, **extra}


def trained(model, values, tmp_path):
    config = Config(model, "synthetic", config_dict={**values, "cache_dataset": False,
                                                     "checkpoint_dir": str(tmp_path / "saved")})
    exp = prepare(config)
    trainer = exp.build_trainer(exp.build_model())
    trainer.fit(exp.train_data, exp.valid_data, saved=False, show_progress=False)
    result = trainer.evaluate(exp.test_data, load_best_model=False)
    state = {name: value for name, value in trainer.model.state_dict().items()
             if isinstance(value, torch.Tensor)}
    assert state or model == "ItemKNN"
    return exp, state, result, trainer.evaluator.ranked.items


@pytest.mark.parametrize("model", ["BPR", "Pop", "ItemKNN", "LightGCN", "CFKG", "KGAT", "DiffKG",
                                   "KGCL"])
def test_shuffled_files_give_the_same_model_and_metrics(tmp_path, model):
    runs = [trained(model, write(tmp_path / str(how), how), tmp_path)
            for how in (None, "reversed", 3)]
    expected = runs[0]
    for exp, state, result, lists in runs[1:]:
        assert exp.fingerprint == expected[0].fingerprint
        assert exp.audit == expected[0].audit
        assert state.keys() == expected[1].keys()
        for name in state:
            assert torch.equal(state[name], expected[1][name]), name
        assert result == expected[2]
        np.testing.assert_array_equal(lists, expected[3])


@pytest.mark.parametrize("extra", [
    {}, {"rm_dup_inter": "first"}, {"rm_dup_inter": "last"},
    {"val_interval": {"rating": "[2,inf)"}, "user_inter_num_interval": "[3,inf)"},
    {"eval_args": {"split": {"RS": [8, 1, 1]}, "order": "TO", "group_by": "user", "mode": "full"}},
    {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "RO", "group_by": "user",
                   "mode": "full"}},
    {"kg": "random"}, {"kg_reverse_r": True},
], ids=str)
@pytest.mark.parametrize("columns", [["user_id", "item_id"],
                                     ["user_id", "item_id", "rating", "timestamp"]], ids=len)
def test_shuffled_files_give_the_same_split_and_rows(tmp_path, extra, columns):
    if len(columns) == 2 and ("val_interval" in extra or "TO" in str(extra)):
        pytest.skip("needs the further columns")
    load = {"inter": columns, "item": ["item_id"], "kg": ["head_id", "relation_id", "tail_id"],
            "link": ["item_id", "entity_id"]}
    parts = []
    for how in (None, "reversed", 5):
        values = undivided(tmp_path / str(how), how, load_col=load, cache_dataset=False, **extra)
        data = create_dataset(Config("CFKG", "synthetic", config_dict=values))
        parts.append([data.kg_feat, data.item2entity, *data.build()])
    for kg, links, *built in parts[1:]:
        pd.testing.assert_frame_equal(kg, parts[0][0])
        assert links == parts[0][1]
        for part, other in zip(built, parts[0][2:]):
            assert part.inter_feat.columns == other.inter_feat.columns
            for name in part.inter_feat.columns:
                assert torch.equal(part.inter_feat[name], other.inter_feat[name])


def test_ids_follow_the_tokens(tmp_path):
    data = create_dataset(Config("BPR", "small", config_dict=write_small(tmp_path)))
    assert data.field2id_token["user_id"].tolist() == ["[PAD]", "a", "b", "c", "d"]
    assert data.field2id_token["item_id"].tolist() == ["[PAD]", *"123456"]
    data = create_dataset(Config("CFKG", "small", config_dict=write_small(tmp_path / "2")))
    assert data.field2id_token["item_id"].tolist() == ["[PAD]", *"561234"]  # unlinked ones first
    assert data.field2id_token["entity_id"].tolist() == [
        "[PAD]", "5", "6", "e1", "e2", "e3", "e4", "x", "y"]
    assert data.field2id_token["relation_id"].tolist() == [
        "[PAD]", "r1", "r2", "r3", "[UI-Relation]"]


@pytest.mark.parametrize("relations", [["10", "2"], ["2", "10"]])
def test_of_several_relations_of_a_pair_the_lowest_of_the_source_counts(tmp_path, relations):
    values = write_small(tmp_path)
    first, second = relations
    (tmp_path / "small/small.kg").write_text(
        "head_id:token\trelation_id:token\ttail_id:token\n"
        f"e1\t{first}\te2\ne1\t{second}\te2\ne3\t{first}\tx\ne2\t{second}\ty\ne4\t3\tx\n")
    exp = prepare(Config("DiffKG", "small", config_dict=values))
    graph = exp.build_model().network.graph
    tokens = exp.train.field2id_token["relation_id"]
    entity = {t: i - 1 for i, t in enumerate(exp.train.field2id_token["entity_id"])}
    edge = (graph.head == entity["e1"]) & (graph.tail == entity["e2"])
    assert tokens[graph.relation[edge].numpy() + 1].tolist() == ["2"]


@pytest.mark.parametrize(("tokens", "expected"), [
    ([], []),
    (["10", "9", "0", "2"], ["0", "2", "9", "10"]),
    (["07", "7", "007", "6"], ["6", "007", "07", "7"]),
    (["10", "9", "x"], ["10", "9", "x"]),
    (["-1", "5", "-10"], ["-1", "-10", "5"]),
    (["b", "a", "B", "é", "z", "ab"], ["B", "a", "ab", "b", "z", "é"]),
    (["9" * 18, "1" + "0" * 17, "5"], ["5", "1" + "0" * 17, "9" * 18]),
    (["1" + "0" * 18, "9"], ["1" + "0" * 18, "9"]),  # too long for a number
    (["٣", "2"], ["2", "٣"]),  # a digit, but none of ASCII
])
@pytest.mark.parametrize("kind", [object, str])
def test_order_of_tokens(tokens, expected, kind):
    array = np.array(tokens, dtype=kind)
    assert array[token_order(array)].tolist() == expected


def test_tokens_that_would_fill_the_memory_are_refused():
    long = "x" * 60_000
    tokens = np.empty(MAX_ARRAY_BYTES // 4 // len(long) + 2, dtype=object)
    tokens[:] = "a"
    tokens[3] = long
    with pytest.raises(UserError, match="tokens of up to 60000 characters do not fit into memory"):
        token_order(tokens)


def test_links_are_one_to_one_by_tokens():
    links = pd.DataFrame([("2", "e"), ("10", "e"), ("10", "d"), ("3", "c"), ("3", "b")])
    for order in (slice(None), slice(None, None, -1)):
        rows = links.iloc[order].reset_index(drop=True)
        kept, problem = one_to_one(rows[0], rows[1])
        assert kept.to_numpy().tolist() == [["2", "e"], ["3", "b"], ["10", "d"]]
        assert problem.startswith("2 links repeat an item or an entity (first on line ")
    assert one_to_one(links[0][:1], links[1][:1])[1] is None
