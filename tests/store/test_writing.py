from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from diffkg_recbole.errors import UserError
from diffkg_recbole.store import RunBusyError, RunRecord, RunStore, run_id
from diffkg_recbole.store.file_hashes import damage
from tests.run_folders import fingerprint

CONFIGURATION = {"model": "BPR", "learning_rate": 0.1}
IDENTITY = {"configuration": CONFIGURATION, "fingerprint": fingerprint(), "code": "1"}
RECORD = {"model": "BPR", "dataset": "ml-100k", "fingerprint": fingerprint(), "seed": 1}
SUMMARY = {"epoch": 1, "epochs_run": 2, "valid": {"recall@20": np.float64(0.25)},
           "test": {"recall@20": 0.5}, "cost": {"parameters": np.int64(7)}}
USERS = pd.DataFrame({"user": ["u1", "u2"], "n_train": [3, 4], "recall@20": [0.0, 1.0]})
PAIRS = pd.DataFrame({"user": ["u1", "u2"], "item": ["i1", "i2"], "rank": [0, 3],
                      "item_popularity": [5, 6], "item_triples": [0, 2]})
LISTS = pd.DataFrame({"user": ["u1", "u2"], "items": [["i3", "i4"], ["i1", "i5"]]})


@pytest.fixture
def store(tmp_path) -> RunStore:
    return RunStore(tmp_path / "runs")


def test_the_folder_is_named_by_model_dataset_and_hash(store):
    run = store.open(IDENTITY, RECORD)
    run.close()
    identifier = run_id(CONFIGURATION, fingerprint(), "1")
    assert run.folder == store.root / f"BPR-ml-100k-{identifier[:12]}"
    assert run.id == identifier


def test_a_finished_run_holds_everything_and_nothing_temporary(store):
    with store.open(IDENTITY, RECORD) as run:
        run.write_config(CONFIGURATION)
        run.write_audit({"overlap": 0})
        for name in ("model.pth", "last.pth"):
            with run.replacing(name) as part:
                part.write_bytes(b"weights")
        run.append_epoch({"epoch": 0, "losses": {"bpr": 0.7}})
        run.append_epoch({"epoch": 1, "losses": {"bpr": 0.6}})
        run.finish(SUMMARY, users=USERS, pairs=PAIRS, recommendations=LISTS)
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "audit.json", "config.yaml", "epochs.jsonl", "model.pth", "pairs.parquet",
        "recommendations.parquet", "run.json", "users.parquet"]
    record = RunRecord(run.folder)
    assert record.finished
    assert record.status == "finished"
    assert record.valid == {"recall@20": 0.25}
    assert record["cost"] == {"parameters": 7}
    assert record.config() == CONFIGURATION
    assert record.audit() == {"overlap": 0}
    assert [row["losses"]["bpr"] for row in record.epochs()] == [0.7, 0.6]
    pd.testing.assert_frame_equal(record.users(), USERS)
    assert record.pairs().to_dict("list") == PAIRS.to_dict("list")
    assert [list(items) for items in record.recommendations()["items"]] == list(LISTS["items"])


def test_columns_have_the_promised_types(store):
    with store.open(IDENTITY, RECORD) as run:
        run.finish(SUMMARY, users=USERS.astype({"recall@20": "float32"}), pairs=PAIRS)
    users = pq.read_schema(run.folder / "users.parquet")
    pairs = pq.read_schema(run.folder / "pairs.parquet")
    assert str(users.field("recall@20").type) == "double"
    assert str(pairs.field("rank").type) == "int32"
    assert str(pairs.field("user").type) == "string"


def test_tokens_as_recbole_gives_them_are_accepted(store):
    """RecBole's id2token returns NumPy strings."""
    tokens = np.array(["i3", "i40"])
    lists = pd.DataFrame({"user": np.array(["u1"]), "items": [tokens]})
    with store.open(IDENTITY, RECORD) as run:
        run.finish(SUMMARY, recommendations=lists)
    assert list(RunRecord(run.folder).recommendations()["items"][0]) == ["i3", "i40"]


def test_a_table_with_wrong_columns_fails_the_run(store):
    with pytest.raises(ValueError, match=r"pairs\.parquet needs the columns"), \
            store.open(IDENTITY, RECORD) as run:
        run.finish(SUMMARY, pairs=PAIRS.drop(columns="rank"))
    assert RunRecord(run.folder).status == "failed"


def test_an_incomplete_summary_is_refused(store):
    with pytest.raises(ValueError, match="'cost'"), store.open(IDENTITY, RECORD) as run:
        run.finish({key: value for key, value in SUMMARY.items() if key != "cost"})


def test_a_finished_run_is_returned_and_cannot_be_written_to(store):
    with store.open(IDENTITY, RECORD) as run:
        run.finish(SUMMARY)
    before = (run.folder / "run.json").read_bytes()
    with store.open(IDENTITY, RECORD) as again:
        assert again.finished
        for write in (lambda: again.finish(SUMMARY), lambda: again.append_epoch({"epoch": 0}),
                      lambda: again.write_config({}), lambda: again.fail("x")):
            with pytest.raises(RuntimeError, match="finished"):
                write()
    assert (run.folder / "run.json").read_bytes() == before


def test_an_interrupted_run_goes_on_where_it_stood(store):
    def interrupted() -> None:
        with store.open(IDENTITY, RECORD) as run:
            run.append_epoch({"epoch": 0})
            with run.replacing("last.pth") as part:
                part.write_bytes(b"state")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    record = store.records()[0]
    assert (record["status"], record.status) == ("running", "interrupted")
    with store.open(IDENTITY, RECORD) as run:
        assert not run.finished
        assert run.epochs() == [{"epoch": 0}]
        assert run.resume_path.read_bytes() == b"state"
        assert run.record["started"] == record["started"]


def test_an_exception_marks_the_run_failed_and_the_next_open_clears_it(store):
    with pytest.raises(ZeroDivisionError), store.open(IDENTITY, RECORD) as run:
        raise ZeroDivisionError("no division")
    record = RunRecord(run.folder)
    assert record.status == "failed"
    assert record["error"] == "ZeroDivisionError: no division"
    assert "Traceback" in (run.folder / "error.txt").read_text()
    with store.open(IDENTITY, RECORD) as run:
        assert (run.record["status"], run.record["error"]) == ("running", None)
        assert not (run.folder / "error.txt").exists()


@pytest.mark.parametrize("status", ["finished", "failed", "interrupted"])
def test_a_fresh_run_takes_the_place_of_what_was_there_when_it_is_finished(store, status):
    with store.open(IDENTITY, RECORD) as run:
        run.append_epoch({"epoch": 0})
        if status == "finished":
            run.finish(SUMMARY)
        elif status == "failed":
            run.fail("broke")
    with store.open_fresh(IDENTITY, RECORD) as fresh:
        assert not fresh.finished
        assert fresh.epochs() == []
        with pytest.raises(RunBusyError):
            store.open_fresh(IDENTITY, RECORD)
        assert [record.status == status or status == "interrupted"
                for record in store.records()] == [True]
        fresh.finish({**SUMMARY, "epoch": 0})
    assert [p.name for p in store.root.iterdir() if p.name != ".locks"] == [run.folder.name]
    assert store.records()[0]["epoch"] == 0
    assert fresh.folder == run.folder


def test_a_failing_fresh_run_leaves_the_old_result_and_can_go_on(store):
    with store.open(IDENTITY, RECORD) as run:
        run.finish(SUMMARY)
    fresh = store.open_fresh(IDENTITY, RECORD)
    fresh.append_epoch({"epoch": 0})
    assert fresh.replaces_result
    fresh.fail("broke")
    assert store.records()[0].finished
    with store.open_fresh(IDENTITY, RECORD) as fresh:
        assert fresh.epochs() == [{"epoch": 0}]


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_a_kill_while_folders_change_places_leaves_one_result(store, monkeypatch, moves):
    """Before, between and after the two moves."""
    with store.open(IDENTITY, RECORD) as run:
        run.finish(SUMMARY)
    fresh = store.open_fresh(IDENTITY, RECORD)
    replace, left = type(run.folder).replace, [moves]

    def killed_at(path, target):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return replace(path, target)

    monkeypatch.setattr(type(run.folder), "replace", killed_at)
    with contextlib.suppress(KeyboardInterrupt), fresh:
        fresh.finish({**SUMMARY, "epoch": 0})
    monkeypatch.undo()
    assert [record["epoch"] for record in store.records()] == [1 if moves == 0 else 0]
    with store.open_fresh(IDENTITY, RECORD) as again:
        assert again.finished == (moves == 0)  # finished already, it only takes its place
    assert store.records()[0]["epoch"] == 0


@pytest.mark.parametrize("name", ["model.pth", "config.yaml", "epochs.jsonl", "users.parquet"])
def test_a_finished_run_knows_what_became_of_its_files(store, name, monkeypatch):
    with store.open(IDENTITY, RECORD) as run:
        run.write_config(CONFIGURATION)
        run.append_epoch({"epoch": 0})
        with run.replacing("model.pth") as part:
            part.write_bytes(b"weights")
        run.finish(SUMMARY, users=USERS)
    assert store.open(IDENTITY, RECORD).damage() is None
    path = run.folder / name
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert f"{name} has {len(content) - 1} bytes" in store.open(IDENTITY, RECORD).damage()
    path.unlink()
    assert store.open(IDENTITY, RECORD).damage() == f"{name} is missing"
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert store.open(IDENTITY, RECORD).damage() == f"{name} was changed"
    monkeypatch.setattr("diffkg_recbole.store.file_hashes._SMALL", 3)
    assert store.open(IDENTITY, RECORD).damage() is None  # large files are known by their size
    assert damage(run.folder, run.record["files"], contents=True) == f"{name} was changed"


def test_a_damaged_epoch_log_starts_the_run_over(store, caplog):
    with store.open(IDENTITY, RECORD) as run:
        run.append_epoch({"epoch": 0})
        run.resume_path.write_bytes(b"state")
    (run.folder / "epochs.jsonl").write_text('garbage\n{"epoch": 1}\n')
    with store.open(IDENTITY, RECORD) as run:
        assert (run.epochs(), run.resume_path.exists()) == ([], False)
    assert "starts over: epochs.jsonl is damaged (line 1" in caplog.text


def test_a_second_writer_is_refused_while_the_first_lives(store):
    with store.open(IDENTITY, RECORD) as run:
        with pytest.raises(RunBusyError, match=f"process {os.getpid()}"):
            store.open(IDENTITY, RECORD)
        assert RunRecord(run.folder).status == "running"
    with store.open(IDENTITY, RECORD) as run:
        assert not run.finished


_HOLD = """
import json, sys, time
from diffkg_recbole.store import RunStore
root, identity, record = json.loads(sys.argv[1])
run = RunStore(root).open(identity, record)
run.append_epoch({"epoch": 0})
open(run.folder / ".model.pth.1.tmp", "w").write("half")
open(run.folder / ".users.parquet.1.part", "w").write("half")
print("held", flush=True)
time.sleep(60)
"""


def test_a_killed_process_leaves_no_lock_and_no_pieces(store):
    argument = json.dumps([str(store.root), IDENTITY, RECORD])
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, argument], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(RunBusyError, match=f"process {holder.pid} "):
        store.open(IDENTITY, RECORD)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with store.open(IDENTITY, RECORD) as run:
        assert run.epochs() == [{"epoch": 0}]
        assert not list(run.folder.glob(".*"))


def test_an_unreadable_record_is_not_overwritten(store):
    with store.open(IDENTITY, RECORD) as run:
        pass
    (run.folder / "run.json").write_text("{")
    with pytest.raises(UserError, match="remove the folder"):
        store.open(IDENTITY, RECORD)
    assert (run.folder / "run.json").read_text() == "{"


def test_a_folder_of_another_run_is_not_touched(store):
    with store.open(IDENTITY, RECORD) as run:
        pass
    path = run.folder / "run.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "id": "f" * 64, "status": "finished"}))
    with pytest.raises(UserError, match="holds another run"):
        store.open(IDENTITY, RECORD)
