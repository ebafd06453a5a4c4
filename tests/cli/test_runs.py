from __future__ import annotations

import json

import pandas as pd
import pytest

from diffkg_recbole.cli import main
from diffkg_recbole.store import RunStore
from tests.run_folders import finished_run

USERS = {"u1": 0.25, "u2": 0.5}


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "runs"
    finished_run(root, USERS, model="BPR", seed=1)
    finished_run(root, USERS, model="BPR", seed=2, protocol="authors")
    finished_run(root, USERS, model="DiffKG", seed=1, dataset="movie", label="DiffKG, kg: none")
    with RunStore(root).open({"configuration": {"model": "KGAT"}, "fingerprint": "f"},
                             {"model": "KGAT", "dataset": "movie", "fingerprint": {"all": "f"},
                              "seed": 7}) as run:
        run.append_epoch({"epoch": 0})
        run.fail(MemoryError("too little"))
    return root


def lines(capsys) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_list_shows_a_line_per_run(root, capsys):
    assert main(["runs", "list", "--store", str(root)]) == 0
    shown = lines(capsys)
    assert len(shown) == 6
    assert shown[0].split() == ["id", "run", "dataset", "protocol", "seed", "split", "status",
                                "epochs", "recall@20", "seconds"]
    kgat = next(line for line in shown if "KGAT" in line)
    assert kgat.split()[1:] == ["KGAT", "movie", "-", "7", "-", "failed", "1", "-", "-"]
    assert "DiffKG, kg: none" in "\n".join(shown)
    assert shown[-1] == f"4 of 4 runs in {root}"


@pytest.mark.parametrize(("flags", "labels"), [
    (["--model", "BPR"], ["BPR", "BPR"]),
    (["--model", "BPR", "--protocol", "authors"], ["BPR"]),
    (["--dataset", "movie", "--status", "finished"], ["DiffKG, kg: none"]),
    (["--status", "failed"], [None]),
    (["--label", "DiffKG, kg: none"], ["DiffKG, kg: none"]),
    (["--model", "NoSuch"], []),
])
def test_list_filters_and_writes_json(root, capsys, flags, labels):
    assert main(["runs", "list", "--store", str(root), "--json", *flags]) == 0
    assert [json.loads(line).get("label") for line in lines(capsys)] == labels


def test_list_names_corrupt_folders_and_says_so_in_its_status(root, capsys):
    (root / "broken").mkdir()
    assert main(["runs", "list", "--store", str(root)]) == 1
    captured = capsys.readouterr()
    assert captured.err == "warning: run folder broken: run.json is missing\n"
    assert "4 of 4 runs" in captured.out


def test_show_tells_everything(root, capsys):
    record = RunStore(root).records(model="BPR", seed=1)[0]
    assert main(["runs", "show", record.id[:10], "--store", str(root)]) == 0
    text = capsys.readouterr().out
    for expected in (record.id, "finished", "epoch 0: bpr 0.7000, recall@20 0.3750",
                     "users.parquet", "train-a", "topk", "0 of 1 run, chosen on validation data"):
        assert expected in text
    assert "0.3750" in text


def test_show_of_a_failed_run_gives_the_error(root, capsys):
    record = RunStore(root).records(model="KGAT")[0]
    assert main(["runs", "show", record.folder.name, "--store", str(root)]) == 0
    assert "MemoryError: too little" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "said"), [
    (["show", "zzz"], "there is no run 'zzz'"),
    (["show", "", ], "is ambiguous"),
    (["verify", "zzz"], "there is no run 'zzz'"),
    (["list", "--store", "nowhere"], "run store nowhere is not a folder"),
])
def test_user_errors_are_one_line_and_status_2(root, capsys, words, said):
    assert main(["runs", *words, *([] if "--store" in words else ["--store", str(root)])]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1


def test_an_unknown_flag_ends_with_status_2(root):
    with pytest.raises(SystemExit) as ended:
        main(["runs", "list", "--statsu", "failed"])
    assert ended.value.code == 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """BPR trained for an epoch on RecBole's own sample."""
    from diffkg_recbole.quick_start import run_recbole

    folder = tmp_path_factory.mktemp("trained")
    run_recbole("BPR", "ml-100k", config_dict={"epochs": 1, "show_progress": False,
                                               "state": "WARNING", "embedding_size": 8},
                store=folder / "runs")
    return folder / "runs"


def test_verify_confirms_a_run_that_stands(trained, capsys):
    (record,) = RunStore(trained).records()
    assert main(["runs", "verify", record.id[:8], "--store", str(trained)]) == 0
    text = capsys.readouterr().out
    assert f"{record.folder.name}: 20 of 20 checks equal; the run is confirmed" in text


def test_verify_finds_numbers_that_do_not_stand(trained, capsys):
    (record,) = RunStore(trained).records()
    path = record.folder / "run.json"
    before = path.read_text()
    data = json.loads(before)
    data["test"]["recall@20"] += 0.001
    path.write_text(json.dumps(data))
    try:
        assert main(["runs", "verify", record.id[:8], "--store", str(trained)]) == 1
    finally:
        path.write_text(before)
    text = capsys.readouterr().out
    assert "18 of 20 checks equal" in text
    assert [line.split()[0] for line in text.splitlines() if "different" in line] == [
        "recall@20", "recall@20"]


def test_verify_finds_a_changed_user_table(trained, capsys):
    (record,) = RunStore(trained).records()
    path = record.folder / "users.parquet"
    before = path.read_bytes()
    table = pd.read_parquet(path)
    table.loc[0, "hit@10"] = 1 - table.loc[0, "hit@10"]
    table.to_parquet(path)
    try:
        assert main(["runs", "verify", record.id[:8], "--store", str(trained)]) == 2
    finally:
        path.write_bytes(before)
    assert "is not as it was finished: users.parquet" in capsys.readouterr().err


def test_verify_refuses_what_it_cannot_evaluate(root, capsys):
    failed = RunStore(root).records(model="KGAT")[0]
    assert main(["runs", "verify", failed.id, "--store", str(root)]) == 2
    assert "is failed; only a finished run" in capsys.readouterr().err
    bare = RunStore(root).records(model="DiffKG")[0]
    assert main(["runs", "verify", bare.id, "--store", str(root)]) == 2
    assert "has no model.pth" in capsys.readouterr().err
