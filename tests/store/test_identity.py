from __future__ import annotations

import hashlib
import json
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import torch

from diffkg_recbole.plain import canonical_json, plain
from diffkg_recbole.store import determining, run_id


class Colour(Enum):
    RED = 1


@pytest.mark.parametrize(("value", "expected"), [
    (np.float32(0.5), 0.5),
    (np.int64(3), 3),
    (np.bool_(True), True),
    (np.str_("a"), "a"),
    (float("nan"), None),
    (np.float64("inf"), None),
    (np.array([1, 2]), [1, 2]),
    (torch.tensor(2.0), 2.0),
    (torch.device("cpu"), "cpu"),
    (torch.float32, "torch.float32"),
    (Path("a") / "b", "a/b"),
    ({"b", "a"}, ["a", "b"]),
    ((1, np.float64(2.5)), [1, 2.5]),
    (Colour.RED, "RED"),
    ({1: {"x": np.float64("nan")}}, {"1": {"x": None}}),
])
def test_plain_values_survive_json_unchanged(value, expected):
    result = plain(value)
    assert result == expected
    assert type(result) is type(expected)
    assert json.loads(json.dumps(result)) == expected


def test_an_object_without_plain_form_is_refused():
    with pytest.raises(TypeError, match="object has no plain form"):
        plain({"key": object()})


def test_canonical_json_is_one_text_for_equal_settings():
    first = {"lr": 1.0, "layers": (64, np.int64(32)), "on": True}
    second = {"on": True, "layers": [64, 32.0], "lr": 1}
    assert canonical_json(first) == canonical_json(second)
    assert canonical_json(first) == '{"layers":[64,32],"lr":1,"on":true}'


def test_canonical_json_tells_infinity_from_nothing_and_true_from_one():
    assert canonical_json(float("inf")) != canonical_json(None)
    assert canonical_json(True) != canonical_json(1)


def test_run_id_is_the_hash_of_the_canonical_parts():
    text = '{"code":"1.0","configuration":{"lr":0.1},"data":"abc","device":"cpu"}'
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert run_id({"lr": 0.1}, "abc", "1.0") == expected
    assert run_id({"lr": 0.1}, {"all": "abc", "train": "x"}, "1.0") == expected


def test_the_graph_counts_where_a_model_reads_one():
    ids = {run_id({}, {"all": "abc", **graph}, "1") for graph in ({}, {"graph": "g"},
                                                                 {"graph": "h"})}
    assert len(ids) == 3
    assert run_id({}, {"all": "abc", "graph": None}, "1") in ids


def test_paths_device_and_display_do_not_change_the_id():
    base = {"lr": 0.1, "seed": 1}
    moved = {**base, "data_path": "/elsewhere", "device": torch.device("cpu"), "gpu_id": "3",
             "show_progress": False, "checkpoint_dir": "x", "state": "DEBUG"}
    assert run_id(moved, "f", "1") == run_id(base, "f", "1")
    assert determining(moved) == base


@pytest.mark.parametrize(("configuration", "fingerprint", "version"), [
    ({"lr": 0.2, "seed": 1}, "f", "1"),
    ({"lr": 0.1, "seed": 2}, "f", "1"),
    ({"lr": 0.1, "seed": 1, "unknown_key": 0}, "f", "1"),
    ({"lr": 0.1, "seed": 1, "worker": 2}, "f", "1"),
    ({"lr": 0.1, "seed": 1, "metric_decimal_place": 2}, "f", "1"),
    ({"lr": 0.1, "seed": 1}, "g", "1"),
    ({"lr": 0.1, "seed": 1}, "f", "2"),
])
def test_everything_else_changes_the_id(configuration, fingerprint, version):
    assert run_id(configuration, fingerprint, version) != run_id({"lr": 0.1, "seed": 1}, "f", "1")


def test_the_kind_of_device_that_draws_counts():
    assert run_id({}, "f", "1", "cuda") != run_id({}, "f", "1", "cpu")
