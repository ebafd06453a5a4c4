"""Real data, from the authors' files to the loaded dataset: every user, item and pair is there."""

import json
from pathlib import Path

import pytest

from converters.convert import Request, convert
from diffkg_recbole.config import Config
from diffkg_recbole.quick_start import prepare

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize("model", ["BPR", "CFKG"])
@pytest.mark.parametrize("name", ["movie", "mind_partial"])
def test_users_items_and_pairs_equal_the_source(tmp_path, name, model):
    source = SHARED / name
    if not source.is_dir():
        pytest.skip(f"real data set '{name}' is not beside the project")
    stats = json.loads((source / "stats.json").read_text())
    convert(Request("authors", source, name, tmp_path / "atomic", tmp_path / "configs"))
    exp = prepare(Config(model, name, [str(tmp_path / "configs" / f"{name}.yaml")], {
        "data_path": str(tmp_path / "atomic"), "state": "error", "cache_dataset": False}))
    counts = exp.fingerprint["counts"]
    assert counts["users"] == stats["users"]
    assert counts["items"] == stats["items"]
    assert counts["train"] + counts["valid"] == stats["train"]
    assert counts["test"] == stats["test"]
    if model == "CFKG":
        assert exp.audit["triples"] == stats["triples"]  # repeated ones stay in the file
        assert exp.audit["items_without_triple"] == stats["items"] - stats["items_in_kg"]
