"""Checkpoints hold plain data, survive a killed write, and never run code."""

import os
import pickle
import random
import zipfile

import numpy as np
import pytest
import torch

from diffkg_recbole.errors import DataError
from diffkg_recbole.trainer.checkpoint import (
    load_checkpoint,
    plain_data,
    random_state,
    restore_random_state,
    save_checkpoint,
)


class Hostile:
    """Unpickling this would make a directory."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_plain_data_round_trip(tmp_path):
    state = {"state_dict": {"w": torch.arange(3.0)}, "score": np.float64(0.5),
             "array": np.arange(4), "names": ("a", "b"), "none": None, "nested": {1: {True: 2}}}
    save_checkpoint(state, tmp_path / "c.pth")
    back = load_checkpoint(tmp_path / "c.pth")
    assert torch.equal(back["state_dict"]["w"], torch.arange(3.0))
    assert (back["score"], back["names"], back["nested"]) == (0.5, ["a", "b"], {1: {True: 2}})
    assert back["array"].tolist() == [0, 1, 2, 3]
    assert torch.load(tmp_path / "c.pth", weights_only=True)["score"] == 0.5


def test_what_is_no_plain_data_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError, match="cannot hold a Hostile"):
        save_checkpoint({"state_dict": {}, "x": Hostile(tmp_path / "x")}, tmp_path / "c.pth")
    assert list(tmp_path.iterdir()) == []


def test_a_hostile_checkpoint_does_not_run(tmp_path):
    for name, save in (("torch.pth", torch.save), ("pickle.pth", _pickle)):
        save({"state_dict": Hostile(tmp_path / "made")}, tmp_path / name)
        with pytest.raises(DataError, match="cannot be loaded as plain data"):
            load_checkpoint(tmp_path / name)
    assert not (tmp_path / "made").exists()


def _pickle(value, path):
    path.write_bytes(pickle.dumps(value))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 torn"])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    (tmp_path / "c.pth").write_bytes(content)
    with pytest.raises(DataError, match=r"c\.pth: cannot be loaded as plain data"):
        load_checkpoint(tmp_path / "c.pth")
    with pytest.raises(DataError, match="checkpoint not found"):
        load_checkpoint(tmp_path / "absent.pth")


def test_no_changed_bit_is_taken_for_a_parameter(tmp_path):
    """torch's own reader takes 572 of 687 such files for sound ones of other numbers."""
    weight = torch.arange(1000.0)
    save_checkpoint({"state_dict": {"w": weight}}, tmp_path / "c.pth")
    content = (tmp_path / "c.pth").read_bytes()
    refused = 0
    for place in range(0, len(content), 97):
        changed = bytearray(content)
        changed[place] ^= 1
        (tmp_path / "c.pth").write_bytes(changed)
        try:
            back = load_checkpoint(tmp_path / "c.pth")
        except DataError:
            refused += 1
        else:
            assert torch.equal(back["state_dict"]["w"], weight)
    assert refused > 4000 // 97


def test_a_packed_checkpoint_is_refused(tmp_path):
    save_checkpoint({"state_dict": {}}, tmp_path / "c.pth")
    with zipfile.ZipFile(tmp_path / "c.pth") as old, zipfile.ZipFile(
            tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(DataError, match="it is packed"):
        load_checkpoint(tmp_path / "packed.pth")


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "c.pth"
    save_checkpoint({"state_dict": {}, "epoch": 1}, path)

    def torn(state, file):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint({"state_dict": {}, "epoch": 2}, path)
    monkeypatch.undo()
    assert load_checkpoint(path)["epoch"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["c.pth"]


def test_an_interrupt_while_writing_stays_an_interrupt(tmp_path, monkeypatch):
    """torch's writer meets it with a RuntimeError of its own; the run would count as failed."""
    path = tmp_path / "c.pth"

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("torch.serialization._save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint({"state_dict": {}}, path)
    assert list(tmp_path.iterdir()) == []


def test_random_numbers_go_on_from_a_stored_state(tmp_path):
    random.random(), torch.rand(3)
    np.random.standard_normal()  # leaves a cached second normal behind
    save_checkpoint({"state_dict": {}, "random": random_state()}, tmp_path / "c.pth")

    def draw():
        return [random.random(), *np.random.standard_normal(3), *torch.rand(3).tolist()]

    expected = draw()
    draw()
    restore_random_state(load_checkpoint(tmp_path / "c.pth")["random"])
    assert draw() == expected


def test_plain_data_detaches_tensors():
    weight = torch.ones(2, requires_grad=True)
    assert not plain_data({"w": weight * 2})["w"].requires_grad
