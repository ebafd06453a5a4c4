"""From a configuration to a recorded run: results, reloading, resuming, RecBole's own features."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from recbole.trainer import Trainer

import diffkg_recbole
from diffkg_recbole.cli import main
from diffkg_recbole.config import Config
from diffkg_recbole.errors import UserError
from diffkg_recbole.quick_start import evaluate_checkpoint, prepare
from tests.data.synthetic import write_synthetic

FAST = {"epochs": 4, "denoiser_hidden_sizes": [16], "embedding_size": 8, "triplet_num": -1,
        "train_batch_size": 64, "diffusion_batch_size": 32, "learning_rate": 0.01}


@pytest.fixture
def values(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return {**write_synthetic(tmp_path / "data"), **FAST}


def run(values, store="runs", **extra):
    return diffkg_recbole.run("DiffKG", "synthetic", config_dict={**values, **extra}, store=store)


def folder():
    (path,) = (p for p in Path("runs").iterdir() if not p.name.startswith("."))
    return path


def test_run_returns_what_recbole_returns_and_records_it(values):
    result = run(values, state="info")
    assert set(result) == {"best_valid_score", "valid_score_bigger", "best_valid_result",
                           "test_result"}
    record = json.loads((folder() / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["test"] == dict(result["test_result"])
    assert record["valid"] == dict(result["best_valid_result"])
    assert result["best_valid_score"] == record["valid"]["recall@20"]
    rows = [json.loads(line) for line in (folder() / "epochs.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    best = max(rows, key=lambda row: row["valid"]["recall@20"])
    assert rows[record["epoch"]]["valid"] == best["valid"]
    assert set(rows[0]["losses"]) == {"bpr", "l2", "contrastive", "elbo", "ckgc"}
    assert rows[0]["graph"]["edges"] > 0
    config = yaml.safe_load((folder() / "config.yaml").read_text())
    assert config["keep_rate"] == 0.5
    assert list((folder() / "tensorboard").rglob("events*"))
    assert "DiffKG" in (folder() / "train.log").read_text()
    assert sorted(path.name for path in Path().iterdir()) == ["data", "runs"]


def test_a_host_programs_logging_stays_as_it_was(values, capsys):
    heard = []
    handler = logging.Handler()
    handler.emit = heard.append
    root = logging.getLogger()
    root.addHandler(handler)
    before = (root.level, root.handlers[:], handler.filters[:])
    try:
        run(values)
        assert (root.level, root.handlers, handler.filters) == before
    finally:
        root.removeHandler(handler)
    assert [record.levelno for record in heard if record.levelno < logging.WARNING] == []
    assert capsys.readouterr().out == ""


def test_a_trainer_starts_as_recboles(values):
    """Its attributes, but for what RecBole opens in the working folder."""
    config = Config("BPR", "synthetic", None, {
        key: value for key, value in values.items() if key not in FAST})
    experiment = prepare(config)
    model = experiment.build_model()
    ours, stock = experiment.build_trainer(model), Trainer(config, model)
    assert set(vars(stock)) <= set(vars(ours))
    for name, value in vars(stock).items():
        if isinstance(value, (int, float, str, bool, dict, type(None))) and "file" not in name:
            assert getattr(ours, name) == value, name


@pytest.mark.parametrize("damage", ["last.pth", "model.pth", "epochs.jsonl"])
@pytest.mark.parametrize("how", ["truncated", "empty", "other", "text"])
def test_a_damaged_state_starts_the_run_over(values, tmp_path, damage, how, caplog):
    whole = run(values)
    (undisturbed,) = (p for p in Path("runs").iterdir() if not p.name.startswith("."))
    result = json.loads((undisturbed / "run.json").read_text())["test"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("diffkg_recbole.quick_start._finish",
                      lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(values, store="other")
    (stopped,) = (p for p in Path("other").iterdir() if not p.name.startswith("."))
    path = stopped / damage
    content = path.read_bytes()
    path.write_bytes({"truncated": content[: len(content) // 2], "empty": b"",
                      "other": b"PK\x03\x04" + content[4:40], "text": b"[1, 2]\n"}[how])
    again = run(values, store="other")
    assert again["test_result"] == whole["test_result"] == result


def test_tables_agree_with_the_metrics(values):
    result = run(values)
    users = pd.read_parquet(folder() / "users.parquet")
    pairs = pd.read_parquet(folder() / "pairs.parquet")
    lists = pd.read_parquet(folder() / "recommendations.parquet").set_index("user")["items"]
    for name, value in result["test_result"].items():
        assert users[name].mean() == pytest.approx(value, abs=1e-9)
    hits = pairs.assign(hit=pairs["rank"].between(1, 10)).groupby("user")["hit"].mean()
    np.testing.assert_allclose(hits[users["user"]], users["recall@10"])
    for row in pairs[pairs["rank"] > 0].itertuples():
        assert lists[row.user][row.rank - 1] == row.item
    for row in pairs[pairs["rank"] == 0].itertuples():
        assert row.item not in lists[row.user]


def test_a_reloaded_checkpoint_scores_exactly_as_before(values):
    result = run(values)
    path = folder() / "model.pth"
    assert evaluate_checkpoint(path) == dict(result["test_result"])
    config, model, _, _, _, test = diffkg_recbole.load_data_and_model(path)
    assert config["keep_rate"] == 0.5
    assert len(model.network.denoised_graph.head) > 0
    state = torch.load(path, weights_only=True)["state_dict"]
    graph = state["network._extra_state"]["denoised_graph"]
    assert torch.equal(graph["head"], model.network.denoised_graph.head)
    batch = next(iter(test))[0]
    scores = model.full_sort_predict(batch).view(len(batch), -1)
    assert torch.isneginf(scores[:, 0]).all()
    pair = batch.repeat_interleave(1)
    pair.interaction["item_id"] = torch.full((len(batch),), 3)
    torch.testing.assert_close(model.predict(pair), scores[:, 3])


class Killed(BaseException):
    """Stands for a process that ends without warning."""


def test_a_killed_run_goes_on_exactly_where_it_stopped(values, monkeypatch):
    whole = run(values)
    whole_rows = (folder() / "epochs.jsonl").read_text()
    whole_state = torch.load(folder() / "model.pth", weights_only=True)["state_dict"]
    Path("runs").rename("uninterrupted")

    from diffkg_recbole.trainer.diffkg import DiffKGSchedule

    train_denoiser = DiffKGSchedule.train_denoiser

    def die_in_epoch_2(self, order, epoch, show=False):
        if epoch == 2:
            raise Killed
        train_denoiser(self, order, epoch, show)

    monkeypatch.setattr(DiffKGSchedule, "train_denoiser", die_in_epoch_2)
    with pytest.raises(Killed):
        run(values)
    monkeypatch.setattr(DiffKGSchedule, "train_denoiser", train_denoiser)
    assert (folder() / "last.pth").is_file()
    again = run(values)
    assert again == whole
    assert not (folder() / "last.pth").exists()

    def without_seconds(text):
        return [{k: v for k, v in json.loads(line).items() if k != "seconds"}
                for line in text.splitlines()]

    assert without_seconds((folder() / "epochs.jsonl").read_text()) == without_seconds(whole_rows)
    state = torch.load(folder() / "model.pth", weights_only=True)["state_dict"]
    for name, value in whole_state.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, state[name]), name


def test_a_finished_run_is_returned_and_fresh_runs_it_anew(values, monkeypatch):
    first = run(values)
    started = (folder() / "model.pth").stat().st_mtime_ns
    assert run(values) == first
    assert (folder() / "model.pth").stat().st_mtime_ns == started
    fresh = diffkg_recbole.run("DiffKG", "synthetic", config_dict=values, store="runs",
                               resume=False)
    assert fresh == first
    assert (folder() / "model.pth").stat().st_mtime_ns != started


def test_early_stopping_works_as_in_recbole(values):
    run(values, epochs=30, stopping_step=1, learning_rate=0.3)
    record = json.loads((folder() / "run.json").read_text())
    assert record["epochs_run"] < 30
    assert record["epoch"] == record["epochs_run"] - 1 - 2  # two evaluations without gain


def test_nothing_is_written_where_nothing_is_to_be_saved(values):
    diffkg_recbole.run("BPR", "synthetic", config_dict={
        k: v for k, v in values.items() if k in ("data_path", "benchmark_filename", "epochs")
    }, saved=False)
    assert not Path("runs").exists()


def test_a_random_split_works_without_benchmark_files(values):
    source = Path(values["data_path"]) / "synthetic"
    lines = [line for part in ("train", "valid", "test") for line in
             (source / f"synthetic.{part}.inter").read_text().splitlines()[1:]]
    (source / "synthetic.inter").write_text(
        "\n".join(["user_id:token\titem_id:token", *lines]) + "\n")
    exp = prepare(Config("DiffKG", "synthetic", config_dict={**values, "benchmark_filename": None}))
    assert sum(exp.audit["given"].values()) == len(lines)
    assert exp.audit["overlap"] == {"train_valid": 0, "train_test": 0, "valid_test": 0}


@pytest.mark.parametrize(("words", "message"), [
    (["--model=DiffGK"], "no model named 'DiffGK'; near: DiffKG"),
    (["--dataset=absent"], "dataset folder"),
    (["--keep_rate=2"], "'keep_rate'"),
    (["--config_files=absent.yaml"], "absent.yaml: configuration file not found"),
    (["--keep_rte=0.1"], "did you mean 'keep_rate'"),
])
def test_user_errors_are_one_line_and_status_2(values, capsys, words, message):
    assert main(["train", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert "Traceback" not in error
    assert not Path("runs").exists()


def test_a_checkpoint_of_other_data_is_refused(values, tmp_path):
    run(values)
    config = Config("BPR", "synthetic", config_dict={
        k: values[k] for k in ("data_path", "benchmark_filename")})
    exp = prepare(config)
    trainer = exp.build_trainer(exp.build_model())
    with pytest.raises(UserError, match="holds a DiffKG, not a BPR"):
        trainer.resume_checkpoint(folder() / "model.pth")


def test_a_second_call_attaches_what_it_asks_for(values):
    """A label, and lists of the stored model: nothing is trained, the numbers stay."""
    first = run(values, save_recommendations=False)
    before = json.loads((folder() / "run.json").read_text())
    assert not (folder() / "recommendations.parquet").exists()
    written = (folder() / "model.pth").stat().st_mtime_ns
    second = run(values, label="mine", save_recommendations=True)
    after = json.loads((folder() / "run.json").read_text())
    assert second["test_result"] == first["test_result"]
    assert (folder() / "model.pth").stat().st_mtime_ns == written
    changed = {key for key in after if after[key] != before.get(key)}
    assert (changed, after["label"]) == ({"label", "files"}, "mine")
    users = pd.read_parquet(folder() / "users.parquet")
    for name, value in first["test_result"].items():
        assert users[name].mean() == pytest.approx(value, abs=1e-9)
    assert len(pd.read_parquet(folder() / "recommendations.parquet")) == len(users)
    run(values)  # without a label of its own a call leaves the one that is there
    assert json.loads((folder() / "run.json").read_text())["label"] == "mine"
