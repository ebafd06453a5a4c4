"""The screen of a training: what it says, and what stays off it."""

from __future__ import annotations

import io
import json
import logging
import sys
from pathlib import Path

import pytest
from rich.console import Console

import diffkg_recbole
from diffkg_recbole.cli import main
from diffkg_recbole.cli.training_screen import EpochRows, TrainingScreen, own_settings
from diffkg_recbole.config import Config
from diffkg_recbole.trainer.progress import progress_bar

CONFIG = {"epochs": 25, "valid_metric": "Recall@20", "valid_metric_bigger": True}
LOSSES = {"bpr": 66.123456, "l2": 0.00006, "contrastive": 12.5, "elbo": 1284.74341, "ckgc": 0.3}


def report(epoch, score=0.25, **changes):
    valid = {} if score is None else {"valid": {"recall@20": score, "ndcg@20": 0.9}}
    return {"epoch": epoch, "losses": LOSSES, "graph": {"edges": 12345},
            "seconds": {"train": 8.0, "valid": 2.0, "diffusion": 5.0}, **valid, **changes}


def rows(*reports, width=200, config=CONFIG, terminal=False):
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, record=True)
    table = EpochRows(config, console)
    for one in reports:
        table.show(one)
    return console.export_text(styles=terminal).splitlines()


def test_a_row_says_all_of_an_epoch():
    head, first, second, third = rows(report(0), report(1, 0.5), report(2, 0.4))
    assert head.split() == ["epoch", *LOSSES, "edges", "recall@20", "best", "seconds", "left"]
    assert first.split() == ["0", "66.1235", "0.0001", "12.5000", "1284.7434", "0.3000", "12,345",
                             "0.2500", "0.2500", "10.0", "4", "min", "00", "s"]
    assert second.split()[7:9] == ["0.5000", "0.5000"]
    assert third.split()[7:9] == ["0.4000", "0.5000"]
    assert {len(line) for line in (head, first, second, third)} == {len(head)}


@pytest.mark.parametrize(("width", "kept"), [
    (60, {"bpr"}), (80, {"bpr", "l2", "edges"}),
    (100, {"bpr", "l2", "contrastive", "elbo", "edges"}), (200, {*LOSSES, "edges"}),
    (30, set())])
@pytest.mark.parametrize("terminal", [True, False])
def test_a_narrow_console_keeps_epoch_metric_and_best(width, kept, terminal):
    lines = rows(report(0), report(1), width=width, terminal=terminal)
    plain = rows(report(0), report(1), width=width)
    assert all(len(line) <= width for line in plain)
    always = {"epoch", "recall@20", "best"} | ({"seconds", "left"} if width > 30 else set())
    assert set(plain[0].split()) == kept | always
    assert len(lines) == 3


def test_the_best_epoch_is_marked_on_a_terminal_only():
    _, first, second = rows(report(0, 0.5), report(1, 0.4), terminal=True)
    assert "\x1b[1m" in first
    assert "\x1b" not in second
    assert "\x1b" not in "".join(rows(report(0)))


def test_new_columns_get_a_new_head_and_what_is_missing_a_dash():
    one, other = report(0, None, losses={"bpr": 1.0}, graph={}), report(1)
    lines = rows(one, other, report(2, losses={"bpr": 1.0}, graph={}))
    assert [line.split()[0] for line in lines] == ["epoch", "0", "epoch", "1", "2"]
    assert lines[1].split()[2:4] == ["-", "-"]  # not evaluated, so there is no best one yet
    assert lines[4].split()[1:7] == ["1.0000", "-", "-", "-", "-", "-"]


def test_smaller_is_better_where_the_metric_says_so():
    lines = rows(report(0, 0.5), report(1, 0.4), report(2, 0.6),
                 config={**CONFIG, "valid_metric_bigger": False})
    assert [line.split()[8] for line in lines[1:]] == ["0.5000", "0.4000", "0.4000"]


def test_after_an_interruption_the_best_epoch_is_known():
    console = Console(file=io.StringIO(), width=120)
    screen = TrainingScreen(console)
    config = Config("BPR", "tiny")
    audit = {"users": 1, "items": 1, "used": {"train": 1, "valid": 1, "test": 1}}
    screen.start(config, audit, [report(0, 0.7), report(1, None)])
    screen.epoch(report(2, 0.6))
    *_, note, _, row = console.file.getvalue().splitlines()
    assert note == "going on after epoch 1"
    assert "0.6000  0.7000" in row


def test_only_settings_that_differ_are_told():
    config = Config("BPR", "tiny", None, {"epochs": 300, "learning_rate": 0.5, "seed": 3,
                                          "data_path": "elsewhere", "show_progress": False})
    assert own_settings(config) == {"learning_rate": 0.5, "seed": 3}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*words):
    return main(["train", "--dataset=tiny", "--epochs=2", "--embedding_size=8", *words])


def test_a_redirected_command_writes_a_table_and_files_of_full_precision(here, capsys):
    assert train("--keep_rate=1") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert not any(sign in out for sign in ("%|", "OrderedDict", "\x1b", "\r"))
    lines = out.splitlines()
    assert lines[0] == "DiffKG on tiny, protocol clean, seed 421, cpu"
    assert lines[2] == "other than the defaults: embedding_size 8, epochs 2, keep_rate 1"
    assert [line.split()[0] for line in lines[5:8]] == ["epoch", "0", "1"]
    stored = json.loads(next(Path("runs").glob("*/epochs.jsonl")).read_text().splitlines()[1])
    assert f"{stored['losses']['bpr']:.4f}" in lines[7]
    assert str(stored["losses"]["bpr"]) not in out
    assert len(str(stored["valid"]["recall@20"])) > 10
    assert "temperature" not in out
    assert "temperature: 0.1" in next(Path("runs").glob("*/config.yaml")).read_text()

    assert train("--keep_rate=1") == 0
    assert capsys.readouterr().out.startswith("This run is finished already.")


def test_recboles_log_is_there_for_who_parses_it(here, capsys, caplog):
    caplog.set_level(logging.INFO)
    assert train("--model=BPR", "--screen=log") == 0
    out, err = capsys.readouterr()
    assert "epoch 1 training [time: " in err
    assert "Training Hyper Parameters:" in err
    assert out.split("\n")[1].startswith("BPR on tiny")  # the summary


def test_a_screen_does_not_count_as_another_run(here):
    assert train("--model=BPR") == train("--model=BPR", "--screen=log") == 0
    assert len(list(Path("runs").glob("BPR-*"))) == 1


def test_warnings_stand_beside_the_table(here, capsys):
    assert train("--keep_rate=0") == 0
    assert capsys.readouterr().err.startswith("warning: epoch 0: the rebuilt graph is empty")


def test_a_library_shows_nothing(here, capfd):
    diffkg_recbole.run("BPR", "tiny", config_dict={"epochs": 1})
    assert capfd.readouterr() == ("", "")


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "shown"), [(_Terminal(), True), (io.StringIO(), False)])
def test_a_progress_bar_needs_a_terminal_and_goes_when_it_is_full(stream, shown, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(progress_bar(2, "Train", True, [1, 2])) == [1, 2]
    written = stream.getvalue()
    assert ("Train" in written) == shown
    assert written.rpartition("Train")[2].endswith("\r") == shown


def test_no_progress_bar_where_none_is_wanted(monkeypatch):
    monkeypatch.setattr(sys, "stderr", _Terminal())
    assert list(progress_bar(2, "Train", False, [1, 2])) == [1, 2]
    assert sys.stderr.getvalue() == ""
