from __future__ import annotations

import json
import shutil

import pytest

from diffkg_recbole.errors import UserError
from diffkg_recbole.store import CorruptRunError, RunRecord, RunStore
from tests.run_folders import finished_run

USERS = {"u1": 0.5, "u2": 1.0}


@pytest.fixture
def store(tmp_path) -> RunStore:
    root = tmp_path / "runs"
    finished_run(root, USERS, model="BPR", seed=1)
    finished_run(root, USERS, model="BPR", seed=2)
    finished_run(root, USERS, model="DiffKG", seed=1, dataset="movie")
    return RunStore(root)


def test_records_filter_by_value_and_by_several_values(store):
    assert len(store.records()) == 3
    assert {record.seed for record in store.records(model="BPR")} == {1, 2}
    assert len(store.records(model=["BPR", "DiffKG"], seed=1)) == 2
    assert [r.model for r in store.records(dataset="movie", status="finished")] == ["DiffKG"]
    assert store.records(status="failed") == []


def test_find_by_folder_id_and_beginning_of_id(store):
    record = store.records(dataset="movie")[0]
    for name in (record.folder.name, record.id, record.id[:10]):
        assert store.find(name).id == record.id


def test_find_says_what_is_wrong(store):
    with pytest.raises(UserError, match="no run 'zz'"):
        store.find("zz")
    with pytest.raises(UserError, match=r"ambiguous: .*BPR.*, .*DiffKG"):
        store.find("")


def test_a_copied_store_reads_the_same(store, tmp_path):
    copy = RunStore(shutil.copytree(store.root, tmp_path / "elsewhere" / "copy"))
    for record, original in zip(copy.records(), store.records()):
        assert record.data == original.data
        assert record.users().equals(original.users())
        assert record.epochs() == original.epochs()


@pytest.mark.parametrize(("content", "reason"), [
    (None, "run.json is missing"),
    ("{", "run.json cannot be read"),
    ("[]", "run.json holds no mapping"),
    ('{"format": 2}', "has format 2, expected 1"),
    ('{"format": 1, "status": "running"}', "lacks id, model, dataset, fingerprint"),
])
def test_corrupt_folders_are_named_with_the_reason_and_do_not_hide_others(
        store, caplog, content, reason):
    broken = store.root / "broken-run"
    broken.mkdir()
    if content is not None:
        (broken / "run.json").write_text(content)
    records, corrupt = store.scan()
    assert len(records) == 3
    assert [error.folder.name for error in corrupt] == ["broken-run"]
    assert reason in corrupt[0].reason
    assert len(store.records()) == 3
    assert f"run folder broken-run: {corrupt[0].reason}" in caplog.text


def test_a_finished_run_without_metrics_is_corrupt(store):
    folder = store.records()[0].folder
    record = json.loads((folder / "run.json").read_text())
    del record["test"]
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(CorruptRunError, match="lacks test"):
        RunRecord(folder)


def test_damaged_files_are_named_when_read(store):
    record = store.records()[0]
    (record.folder / "users.parquet").write_bytes(b"PAR1 rubbish")
    (record.folder / "epochs.jsonl").write_bytes(b"rubbish\n{}\n")
    (record.folder / "config.yaml").write_text("a: [")
    for read, reason in ((record.users, "users.parquet cannot be read"),
                         (record.pairs, "pairs.parquet is missing"),
                         (record.epochs, "epochs.jsonl: line 1"),
                         (record.config, "config.yaml cannot be read")):
        with pytest.raises(CorruptRunError, match=reason) as caught:
            read()
        assert record.folder.name in str(caught.value)


def test_a_store_that_is_no_folder(tmp_path):
    with pytest.raises(UserError, match="nowhere is not a folder"):
        RunStore(tmp_path / "nowhere").records()


def test_hidden_folders_are_no_runs(store):
    (store.root / ".hidden").mkdir()
    assert store.scan().corrupt == []
