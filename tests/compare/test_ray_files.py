"""Files that come back from a node: checked, whole, and never over a finished run."""

from __future__ import annotations

import pytest

from diffkg_recbole.compare.ray_files import (
    cached,
    fingerprint,
    pack_dataset,
    pack_run,
    place_run,
    unpack,
)
from diffkg_recbole.errors import UserError
from diffkg_recbole.store import RunStore
from tests.compare.planned import plan_of, record_as_finished


@pytest.fixture
def finished(tmp_path):
    plan = plan_of(tmp_path, "datasets: tiny\nmodels: [BPR]\n")
    return record_as_finished(plan, plan.runs[0])


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a\\b", "c:x", "", "x\0"])
def test_names_that_lead_out_write_nothing(tmp_path, name):
    with pytest.raises(UserError, match="a node sent a file named"):
        unpack({"good": b"", name: b""}, tmp_path / "in")
    assert not (tmp_path / "in").exists()


@pytest.mark.parametrize("name", ["../x", "a/b", "/x", ".."])
def test_a_run_has_one_plain_name(tmp_path, name):
    with pytest.raises(UserError):
        place_run(name, {"run.json": b"{}"}, tmp_path / "runs")
    assert not (tmp_path / "x").exists()


def test_a_run_arrives_whole_and_once(finished, tmp_path):
    files = pack_run(finished.folder)
    store = tmp_path / "other"
    assert place_run(finished.folder.name, files, store)
    record, = RunStore(store).records()
    assert record.finished
    assert pack_run(record.folder) == files
    assert not place_run(finished.folder.name, {**files, "more": b"x"}, store)
    assert pack_run(record.folder) == files
    assert not list((store / ".arriving").iterdir())


def test_a_finished_run_replaces_an_unfinished_one_and_not_the_reverse(finished, tmp_path):
    files, store, name = pack_run(finished.folder), tmp_path / "other", finished.folder.name
    unfinished = {"run.json": b"{}", "resume.pth": b"half"}
    assert place_run(name, unfinished, store)
    assert not place_run(name, {"run.json": b"{}"}, store)
    assert pack_run(store / name) == unfinished
    assert place_run(name, files, store)
    assert pack_run(store / name) == files


def test_a_dataset_travels_alone_and_is_named_by_what_it_holds(tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    for name in ("d.inter", "d.kg", "dataset.json", "notes.txt"):
        (folder / name).write_text(name)
    files = pack_dataset(folder, "d")
    assert set(files) == {"d.inter", "d.kg", "dataset.json"}
    assert fingerprint(files) != fingerprint({**files, "d.kg": b"other"})
    for _ in range(2):  # the second finds the first one's
        cached(files, tmp_path / "cache")
    assert pack_dataset(tmp_path / "cache", "d") == files
    assert {path.name for path in tmp_path.iterdir()} == {"d", "cache"}
