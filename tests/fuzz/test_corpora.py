"""Damaged checkpoints, studies and caches as a command meets them: its message, its status."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from diffkg_recbole import quick_start
from diffkg_recbole.cli import main
from diffkg_recbole.store import RunRecord
from tests.data.small import write_small
from tests.tune.searches import write_workplace

WORDS = ["train", "--model=BPR", "--dataset=tiny", "--epochs=2", "--embedding_size=2",
         "--show_progress=False"]


def _told(capsys: pytest.CaptureFixture, status: int, words: list[str]) -> str:
    """Run a command that must end with this status; what it said on stderr."""
    capsys.readouterr()
    found = main(words)
    said = capsys.readouterr().err
    assert found == status, said
    assert "Traceback" not in said
    if status == 2:
        assert said.startswith("error: ")
        assert said.count("\n") == 1
    return said


# ---- checkpoints -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a finished run whose record does not know the sums of its files."""
    store = tmp_path_factory.mktemp("trained")
    assert main([*WORDS, f"--store={store}"]) == 0
    run = _run(store)
    record = json.loads((run / "run.json").read_text())
    del record["files"]
    (run / "run.json").write_text(json.dumps(record))
    return store


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a run that was stopped after its first epoch."""
    store = tmp_path_factory.mktemp("begun")
    with pytest.MonkeyPatch.context() as patch:
        def stop(run: Any, row: Any) -> None:
            if row["epoch"] == 1:
                raise KeyboardInterrupt
            append(run, row)

        append = quick_start.Run.append_epoch
        patch.setattr(quick_start.Run, "append_epoch", stop)
        assert main([*WORDS, f"--store={store}"]) == 130
    assert (_run(store) / "last.pth").exists()
    return store


def _run(store: Path) -> Path:
    (run,) = (one for one in store.iterdir() if not one.name.startswith("."))
    return run


def _saved(state: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def _changed(content: bytes, **values: Any) -> bytes:
    """A checkpoint with other values; None takes a key out."""
    state = torch.load(io.BytesIO(content), weights_only=True)
    state.update(values)
    return _saved({key: value for key, value in state.items() if value is not None})


def _without_a_part(content: bytes) -> bytes:
    """The archive without its largest member."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        members = sorted(old.infolist(), key=lambda one: one.file_size)[:-1]
        for member in members:
            new.writestr(member, old.read(member))
    return stream.getvalue()


LOAD, NONE_OURS, FIT = "cannot be loaded as plain data", "is no model checkpoint", "does not fit"
CHECKPOINTS: dict[str, tuple[Any, str]] = {
    "empty": (lambda c: b"", LOAD),
    "one byte": (lambda c: b"G", LOAD),
    "text": (lambda c: b"not a checkpoint", LOAD),
    "zeros": (lambda c: bytes(2000), LOAD),
    "cut in the middle": (lambda c: c[:len(c) // 2], LOAD),
    "end missing": (lambda c: c[:-30], LOAD),
    "begin missing": (lambda c: c[100:], LOAD),
    "flipped magic": (lambda c: b"QK" + c[2:], LOAD),
    "a member missing": (_without_a_part, LOAD),
    "an empty archive": (lambda c: b"PK\5\6" + bytes(18), LOAD),
    "a pickled list": (lambda c: pickle.dumps([1]), LOAD),
    "a pickled function": (lambda c: pickle.dumps(os.getcwd), LOAD),
    "an npz": (lambda c: _npz({"a": np.arange(3)}), LOAD),
    "a list": (lambda c: _saved([1, 2]), NONE_OURS),
    "a tensor": (lambda c: _saved(torch.ones(3)), NONE_OURS),
    "no parameters": (lambda c: _changed(c, state_dict=None), NONE_OURS),
    "parameters of a list": (lambda c: _changed(c, state_dict=[1]), NONE_OURS),
    "configuration of a list": (lambda c: _changed(c, config=[1]), NONE_OURS),
    "no configuration": (lambda c: _changed(c, config=None), "holds no configuration"),
    "other parameters": (lambda c: _changed(c, state_dict={"x": torch.ones(1)}), FIT),
    "numbers for parameters": (lambda c: _changed(c, state_dict={"x": 1}), FIT),
    "parameters of other keys": (lambda c: _changed(c, state_dict={3: torch.ones(1)}), FIT),
    "an unknown model": (lambda c: _changed(
        c, config={"model": "os:system", "dataset": "tiny"}), "os:system"),
    "a wrong value": (lambda c: _changed(
        c, config={"model": "BPR", "dataset": "tiny", "topk": "many"}), "'topk'"),
}


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_damaged_best_model(trained, tmp_path, name, capsys):
    damage, message = CHECKPOINTS[name]
    path = _run(shutil.copytree(trained, tmp_path / "runs")) / "model.pth"
    path.write_bytes(damage(path.read_bytes()))
    said = _told(capsys, 2, ["runs", "verify", path.parent.name, "--store", str(tmp_path / "runs")])
    assert message in said
    assert "model.pth" in said


STATES = {name: damage for name, (damage, _) in CHECKPOINTS.items()
          if name not in ("no configuration", "a wrong value")}
STATES.update({
    "no epoch": lambda c: _changed(c, epoch=None),
    "epoch of text": lambda c: _changed(c, epoch="x"),
    "an epoch beyond": lambda c: _changed(c, epoch=7),
    "no optimizer": lambda c: _changed(c, optimizer=None),
    "optimizer of text": lambda c: _changed(c, optimizer="adam"),
    "random numbers of text": lambda c: _changed(c, random="x"),
    "other random numbers": lambda c: _changed(c, random={"python": [3, [1], None]}),
    "generators of text": lambda c: _changed(c, generators=["x"]),
    "no loss": lambda c: _changed(c, train_loss="x"),
    "no counter": lambda c: _changed(c, cur_step="x"),
})


@pytest.mark.parametrize("name", STATES)
def test_a_damaged_state_to_go_on_from(begun, trained, tmp_path, name, capsys):
    """The run starts over, says why, and ends with the numbers of one that was never stopped."""
    run = _run(shutil.copytree(begun, tmp_path / "runs"))
    (run / "last.pth").write_bytes(STATES[name]((run / "last.pth").read_bytes()))
    said = _told(capsys, 0, [*WORDS, f"--store={tmp_path / 'runs'}"])
    assert "starts over: " in said + (run / "train.log").read_text()
    assert RunRecord(run).test == RunRecord(_run(trained)).test


# ---- caches ------------------------------------------------------------------------------------


def _rewritten(content: bytes, **changes: Any) -> bytes:
    """A cache whose sums are right and whose description says something else."""
    with np.load(io.BytesIO(content)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    description = json.loads(str(arrays["description"]))
    description.update(changes)
    arrays["description"] = np.array(json.dumps(description))
    return _npz(arrays)


def _with_member(name: str, member: bytes, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        for one in old.infolist():
            new.writestr(one.filename, member if one.filename == name else old.read(one))
    return stream.getvalue()


_HUGE = (b"\x93NUMPY\x01\x00v\x00{'descr': '<i8', 'fortran_order': False, "
         b"'shape': (99999999999999,), }").ljust(127) + b"\n"
_USERS = "inter_feat/user_id.npy"
CACHES: dict[str, Any] = {
    "empty": lambda c: b"", "text": lambda c: b"x" * 50, "zeros": lambda c: bytes(500),
    "cut": lambda c: c[:len(c) // 2], "end missing": lambda c: c[:-9],
    "flipped": lambda c: c[:200] + bytes([c[200] ^ 255]) + c[201:],
    "a pickle": lambda c: pickle.dumps(os.getcwd), "an array": lambda c: c[30:200],
    "nothing in it": lambda c: b"PK\5\6" + bytes(18),
    "another key": lambda c: _rewritten(c, key="x"),
    "no columns": lambda c: _rewritten(c, columns=None),
    "other columns": lambda c: _rewritten(c, columns={"inter_feat": ["nothing"]}),
    "an unknown type": lambda c: _rewritten(c, types={"user_id": "x"}),
    "a list of tokens": lambda c: _rewritten(c, tokens=[1]),
    "warnings of a number": lambda c: _rewritten(c, warnings=3),
    "a description of text": lambda c: _npz({"description": np.array("x")}),
    "a deep description": lambda c: _npz({"description": np.array("[" * 100_000)}),
    "a description of a list": lambda c: _npz({"description": np.array("[1]")}),
    "an array that claims much": lambda c: _with_member(_USERS, _HUGE, c),
    "an array with no header": lambda c: _with_member(_USERS, b"\x93NUMPY", c),
    "an array of objects": lambda c: _with_member(
        _USERS, b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|O', 'fortran_order': False, 'shape': "
        b"(1,), }".ljust(117) + b"\n" + pickle.dumps([1]), c),
}


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cached")
    write_small(folder / "data")
    assert main(_small_words(folder)) == 0
    return folder


def _small_words(folder: Path) -> list[str]:
    return ["train", "--model=Pop", "--dataset=small", f"--data_path={folder / 'data'}",
            "--benchmark_filename=['train','valid','test']", "--topk=[2]",
            "--valid_metric=Recall@2", "--show_progress=False", f"--store={folder / 'runs'}"]


@pytest.mark.parametrize("name", CACHES)
def test_a_damaged_cache_is_made_anew(cached, tmp_path, name, capsys):
    folder = shutil.copytree(cached, tmp_path / "copy")
    expected = RunRecord(_run(folder / "runs")).test
    shutil.rmtree(folder / "runs")
    (path,) = folder.rglob("*.npz")
    sound = path.read_bytes()
    path.write_bytes(CACHES[name](sound))
    _told(capsys, 0, _small_words(folder))
    assert RunRecord(_run(folder / "runs")).test == expected
    with np.load(path) as archive:
        assert json.loads(str(archive["description"]))["columns"]["inter_feat"]


# ---- studies -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = ["tune", *write_workplace(folder), "--trials=2"]
        assert main(words) == 0
    return folder, words


def _noted(line: bytes, **changes: Any) -> bytes:
    row = json.loads(line)
    if "result" in row.get("user_attr", {}):
        row["user_attr"]["result"].update(changes)
    return json.dumps(row).encode()


def _lines(change: Any) -> Any:
    return lambda content: b"\n".join(change(content.splitlines())) + b"\n"


def _result(**changes: Any) -> Any:
    return _lines(lambda lines: [_noted(line, **changes) for line in lines])


def _op(row: dict[str, Any]) -> Any:
    return _lines(lambda lines: [*lines, json.dumps(row).encode()])


BAD = "cannot be read"
JOURNALS: dict[str, tuple[Any, str]] = {
    "random bytes": (lambda c: b"\xff\xfe{\n" * 3, BAD),
    "zeros": (lambda c: bytes(80) + b"\n", BAD),
    "a line of text": (lambda c: b"nonsense\n" + c, BAD),
    "a list": (lambda c: b"[]\n" + c, BAD), "a number": (lambda c: b"3\n" + c, BAD),
    "null": (lambda c: c + b"null\n", BAD), "no operation": (lambda c: c + b"{}\n", BAD),
    "a deep line": (lambda c: b"[" * 100_000 + b"\n" + c, BAD),
    "the first line missing": (_lines(lambda lines: lines[1:]), BAD),
    "an unknown operation": (_op({"op_code": 99, "worker_id": "x"}), BAD),
    "a trial of no study": (_op({"op_code": 4, "worker_id": "x", "study_id": 7}), BAD),
    "a result of text": (_lines(lambda lines: [line.replace(b'"outcome"', b'"outcom"')
                                               for line in lines]), BAD),
    "an unknown outcome": (_result(outcome="great"), "great"),
    "a score of text": (_result(score="high"), BAD),
    "a score of nothing": (_result(score=None), BAD),
    "another score": (_result(score=0.99), "is not that of its result"),
    "a score that is no number": (_result(score=float("nan")), BAD),
    "no settings": (_result(settings=None), "its settings"),
    "other settings": (_result(settings={"a": 1}), "its settings"),
    "settings out of range": (_result(settings={"learning_rate": 9.0, "embedding_size": 4}),
                              "its settings"),
    "jobs of text": (_result(jobs="x"), "'jobs'"), "epochs of text": (_result(epoch="x"), "epochs"),
}


@pytest.mark.parametrize("name", JOURNALS)
def test_a_damaged_study(searched, tmp_path, name, capsys, monkeypatch):
    folder, words = searched
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "copy"))
    damage, message = JOURNALS[name]
    (path,) = Path("runs").glob("*.journal")
    path.write_bytes(damage(path.read_bytes()))
    before = path.read_bytes()
    said = _told(capsys, 2, words)
    assert message in said
    assert path.name in said
    assert "remove it to search anew" in said
    assert path.read_bytes().startswith(before)  # Optuna notes that it was opened
