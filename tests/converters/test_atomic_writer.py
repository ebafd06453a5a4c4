"""What a conversion writes, and that RecBole itself reads all of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recbole.config import Config
from recbole.data.dataset import Dataset, KnowledgeBasedDataset

from converters.convert import Request, convert
from tests.converters.conftest import REPOSITORY, TEST, TRAIN, TRIPLES


class PlainConfig(Config):
    """RecBole's configuration without the aliases it sets inside NumPy."""

    def compatibility_settings(self) -> None: ...


def table(path: Path) -> list[tuple[int, ...]]:
    return list(pd.read_csv(path, sep="\t").itertuples(index=False, name=None))


@pytest.fixture
def converted(authors_folder: Path, tmp_path: Path) -> Path:
    request = Request("authors", authors_folder, "small", tmp_path / "atomic",
                      tmp_path / "configs", valid_fraction=0.3)
    return convert(request).folder


def test_files_hold_every_pair_item_user_and_triple(converted: Path) -> None:
    parts = {part: table(converted / f"small.{part}.inter") for part in ("train", "valid", "test")}
    assert sorted(parts["train"] + parts["valid"]) == TRAIN
    assert parts["test"] == TEST
    # 3, 1 and 3 pairs: 30 % is none, none and none, so one each, but a single pair stays.
    assert [user for user, _ in parts["valid"]] == [0, 2]
    assert table(converted / "small.item") == [(i,) for i in range(5)]
    assert table(converted / "small.user") == [(u,) for u in range(3)]
    assert table(converted / "small.kg") == TRIPLES
    assert table(converted / "small.link") == [(i, i) for i in range(4)]  # 4 is in no triple


def test_headers_are_typed(converted: Path) -> None:
    heads = {path.name: path.read_text().split("\n", 1)[0] for path in converted.iterdir()}
    assert heads["small.train.inter"] == "user_id:token\titem_id:token"
    assert heads["small.item"] == "item_id:token"
    assert heads["small.user"] == "user_id:token"
    assert heads["small.kg"] == "head_id:token\trelation_id:token\ttail_id:token"
    assert heads["small.link"] == "item_id:token\tentity_id:token"


def test_summary(converted: Path, authors_folder: Path) -> None:
    summary = json.loads((converted / "dataset.json").read_text())
    assert summary["source"]["sha256"]["kg.txt"] == hashlib.sha256(
        (authors_folder / "kg.txt").read_bytes()).hexdigest()
    assert summary["counts"]["pairs"] == 10
    assert summary["split"]["seed"] == 2020
    assert (summary["split"]["train"], summary["split"]["valid"]) == (5, 2)
    assert summary["audit"]["items_without_triple"]["count"] == 1
    assert set(summary["files"]) | {"dataset.json"} == {p.name for p in converted.iterdir()}
    for name, facts in summary["files"].items():
        content = (converted / name).read_bytes()
        assert facts["sha256"] == hashlib.sha256(content).hexdigest()
        assert facts["rows"] == content.count(b"\n") - 1


def test_same_source_same_bytes(authors_folder: Path, tmp_path: Path) -> None:
    folders = [convert(Request("authors", authors_folder, "small", tmp_path / place,
                               tmp_path / "configs")).folder for place in "ab"]
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes()


@pytest.mark.parametrize("model", ["BPR", "CKE"])
def test_stock_recbole_reads_the_tiny_set_whole(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RecBole's own classes, in benchmark mode, find every user, item, pair, triple and link."""
    monkeypatch.setattr("sys.argv", ["run"])  # RecBole reads flags from it
    config = PlainConfig(
        model=model, dataset="tiny",
        config_file_list=[str(REPOSITORY / "configs" / "datasets" / "tiny.yaml")],
        config_dict={"data_path": str(REPOSITORY / "atomic_data")},
    )
    summary = json.loads((REPOSITORY / "atomic_data" / "tiny" / "dataset.json").read_text())
    counts, split = summary["counts"], summary["split"]
    kind = KnowledgeBasedDataset if model == "CKE" else Dataset
    dataset = kind(config)
    assert dataset.user_num - 1 == counts["users"]
    assert dataset.item_num - 1 == counts["items"]
    assert [len(part) for part in dataset.build()] == [
        split["train"], split["valid"], split["test"]]
    if model == "CKE":
        assert len(dataset.head_entities) == counts["triples"]
        assert len(dataset.item2entity) == counts["items_in_graph"]
        # [PAD], every item, and the other entities of the graph
        others = counts["entities_in_graph"] - counts["items_in_graph"]
        assert dataset.entity_num == 1 + counts["items"] + others
        items = dataset.field2id_token["item_id"][dataset.head_entities[:5]]
        np.testing.assert_array_equal(items, ["0", "1", "2", "3", "4"])


def test_the_validation_part_of_the_source_is_written_as_it_is(
    kgat_folder: Path, tmp_path: Path
) -> None:
    (kgat_folder / "valid.txt").write_text("0 4 1\n2 1\n")
    outcome = convert(Request("kgat", kgat_folder, "small", tmp_path / "atomic",
                              tmp_path / "configs"))
    parts = {part: table(outcome.folder / f"small.{part}.inter")
             for part in ("train", "valid", "test")}
    assert parts == {"train": TRAIN, "valid": [(0, 1), (0, 4), (2, 1)], "test": TEST}
    split = outcome.summary["split"]
    assert (split["fraction"], split["seed"]) == (None, None)
    assert split["rule"] == "the source's own validation part"
    assert "valid.txt" in outcome.summary["source"]["sha256"]
