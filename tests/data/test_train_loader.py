"""Training batches equal RecBole's, epoch after epoch, for the same random states."""

import numpy as np
import pytest
import torch
from recbole.data.dataloader import KnowledgeBasedDataLoader, TrainDataLoader, UserDataLoader
from recbole.sampler import KGSampler, Sampler
from recbole.utils import KGDataLoaderState

from diffkg_recbole.config import Config
from diffkg_recbole.data import create_dataset
from diffkg_recbole.data import train_loader as loaders
from diffkg_recbole.data.sampler import KnowledgeSampler, PairSampler
from diffkg_recbole.data.train_loader import InteractionLoader, KnowledgeLoader, UserLoader
from tests.data.synthetic import write_synthetic

PHASES = ["train", "valid", "test"]


@pytest.fixture(params=[64, 53, 10_000], ids=["batch64", "batch53", "one-batch"])
def values(request, tmp_path):
    return {**write_synthetic(tmp_path), "train_batch_size": request.param, "cache_dataset": False}


def both(model, values, ours, theirs):
    """Our loader and RecBole's, on data of their own, with our samplers and RecBole's."""
    pair = []
    for loader, sampler, kg_sampler in ((ours, PairSampler, KnowledgeSampler),
                                        (theirs, Sampler, KGSampler)):
        config = Config(model, "synthetic", config_dict=values)
        parts = create_dataset(config).build()
        arguments = [sampler(PHASES, parts).set_phase("train")]
        if issubclass(loader, KnowledgeBasedDataLoader):
            arguments.append(kg_sampler(parts[0]))
        pair.append(loader(config, parts[0], *arguments, shuffle=True))
    return pair


def epochs(loader, modes):
    """Every batch of some epochs, from one NumPy state."""
    np.random.seed(11)
    batches = []
    for mode in modes:
        if mode is not None:
            loader.set_mode(mode)
        batches.append([batch.interaction for batch in loader])
        assert len(batches[-1]) == len(loader)
    return batches


def assert_equal(left, right):
    assert len(left) == len(right)
    for epoch_left, epoch_right in zip(left, right):
        assert len(epoch_left) == len(epoch_right)
        for a, b in zip(epoch_left, epoch_right):
            assert list(a) == list(b)
            for name in a:
                assert a[name].dtype == b[name].dtype
                assert torch.equal(a[name], b[name]), name


@pytest.mark.parametrize("arguments", [
    {"distribution": "uniform", "sample_num": 1, "alpha": 1.0},
    {"distribution": "popularity", "sample_num": 3, "alpha": 0.7},
    None,
], ids=["uniform", "popular", "none"])
@pytest.mark.parametrize("model", ["BPR", "NeuMF"])  # pairwise, pointwise
def test_interactions(values, model, arguments):
    pair = both(model, {**values, "train_neg_sample_args": arguments},
                InteractionLoader, TrainDataLoader)
    ours, theirs = (epochs(loader, [None] * 3) for loader in pair)
    assert_equal(ours, theirs)
    if values["train_batch_size"] < 10_000:
        assert not torch.equal(ours[0][0]["user_id"], ours[1][0]["user_id"])


def test_interactions_without_shuffling(values):
    ours, theirs = both("BPR", values, InteractionLoader, TrainDataLoader)
    for loader in (ours, theirs):
        loader.shuffle = False
    unshuffled = [batch["user_id"] for batch in ours]
    assert torch.equal(torch.cat(unshuffled), ours._dataset.inter_feat["user_id"])


def test_features_of_users_and_items_come_along(values):
    folder = values["data_path"] + "/synthetic/synthetic"
    with open(folder + ".item") as file:
        items = file.read().splitlines()[1:]
    with open(folder + ".item", "w") as file:
        file.write("item_id:token\tkind:token\tprice:float\n")
        file.writelines(f"{item}\t{item[-1]}\t{len(item)}\n" for item in items)
    values = {**values, "load_col": {"inter": ["user_id", "item_id"],
                                     "item": ["item_id", "kind", "price"]}}
    ours, theirs = (epochs(loader, [None] * 2)
                    for loader in both("BPR", values, InteractionLoader, TrainDataLoader))
    assert_equal(ours, theirs)
    assert {"kind", "neg_kind", "price", "neg_price"} <= set(ours[0][0])


RS, KG, RSKG = KGDataLoaderState.RS, KGDataLoaderState.KG, KGDataLoaderState.RSKG


@pytest.mark.parametrize("modes", [[RS, RS, RS], [KG, KG], [RSKG, RSKG, RSKG], [RS, KG, RSKG, RS]],
                         ids=["RS", "KG", "RSKG", "mixed"])
@pytest.mark.parametrize("model", ["CFKG", "MKR"])  # pairwise, pointwise
def test_interactions_and_triples(values, model, modes):
    pair = both(model, values, KnowledgeLoader, KnowledgeBasedDataLoader)
    assert_equal(*(epochs(loader, modes) for loader in pair))


def test_users(values):
    assert_equal(*(epochs(loader, [None] * 2)
                   for loader in both("MultiVAE", values, UserLoader, UserDataLoader)))


def test_dynamic_negatives_are_recboles(values):
    class Scores(torch.nn.Module):
        device = torch.device("cpu")

        def predict(self, interaction):
            return (interaction["item_id"] * 7919 % 101 + interaction["user_id"]).float()

    arguments = {"distribution": "uniform", "sample_num": 1, "alpha": 1.0, "dynamic": True,
                 "candidate_num": 4}
    pair = both("BPR", {**values, "train_neg_sample_args": arguments},
                InteractionLoader, TrainDataLoader)
    for loader in pair:
        loader.get_model(Scores())
    assert_equal(*(epochs(loader, [None] * 2) for loader in pair))


@pytest.mark.parametrize(("model", "loader"), [
    ("BPR", InteractionLoader), ("NeuMF", InteractionLoader), ("CFKG", KnowledgeLoader),
    ("MultiVAE", UserLoader)])
@pytest.mark.parametrize("world", [2, 3])
def test_the_shares_of_all_processes_are_the_batches_of_one(values, model, loader, world):
    recbole = {new: old for old, new in loaders.TRAIN_LOADERS.items()}[loader]
    modes = [RSKG, KG] if loader is KnowledgeLoader else [None, None]
    alone = epochs(both(model, values, loader, recbole)[0], modes)
    processes = []
    for rank in range(world):
        process = both(model, values, loader, recbole)[0]
        parts = ([process.general_dataloader, process.kg_dataloader]
                 if loader is KnowledgeLoader else [process])
        for part in parts:
            part._rank, part._world = rank, world
        np.random.seed(11)
        collected = []
        for mode in modes:
            if mode is not None:
                process.set_mode(mode)
            collected += [(process.part.share, batch.interaction) for batch in process]
        processes.append(collected)
    whole = [batch for epoch in alone for batch in epoch]
    assert {len(batches) for batches in processes} == {len(whole)}
    for step, batch in enumerate(whole):
        shares = [batches[step][0] for batches in processes]
        assert sum(shares) == pytest.approx(1) or shares == [1] * world
        for name, column in batch.items():
            parts = [batches[step][1][name] for batches in processes]
            if shares != [1] * world:
                assert sorted(torch.cat(parts).tolist()) == sorted(column.tolist())


def test_a_batch_smaller_than_the_processes_is_done_by_all(tmp_path):
    values = {**write_synthetic(tmp_path), "cache_dataset": False}
    size = len(create_dataset(Config("BPR", "synthetic", config_dict=values)).build()[0]) - 1
    loader = both("BPR", {**values, "train_batch_size": size}, InteractionLoader,
                  TrainDataLoader)[0]
    loader._rank, loader._world = 1, 2
    batches = [(loader.part.share, len(batch)) for batch in loader]
    assert batches == [(pytest.approx((size // 2) / size, abs=1 / size), size // 2), (1.0, 1)]
