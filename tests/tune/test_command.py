"""The command from end to end, with real trainings on the small data set."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from diffkg_recbole.cli import main
from diffkg_recbole.errors import UserError
from diffkg_recbole.store import RunStore
from diffkg_recbole.tune import trial_processes
from diffkg_recbole.tune.search import make_search
from diffkg_recbole.tune.space import Parameter
from diffkg_recbole.tune.study import RESULT, Study
from diffkg_recbole.tune.trial_processes import _Pool, _Worker
from tests.tune.searches import search_of, write_workplace


@pytest.fixture
def flags(tmp_path, monkeypatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return write_workplace(tmp_path)


def tune(flags: list[str], *more: str) -> int:
    return main(["tune", *flags, *more])


def results(flags: list[str], store: str = "runs") -> list[tuple]:
    """Settings, outcome and validation metrics of the trials in a store."""
    with Study(make_search("BPR", "synthetic", (), flags[2:]), Path(store)) as study:
        notes = [trial.user_attrs[RESULT] for trial in study.trials]
    return [(note["settings"], note["outcome"], note.get("valid")) for note in notes]


def test_a_search_ends_with_a_setting_that_trains_to_its_score(flags, capsys):
    assert tune(flags, "--write", "--seed", "5") == 0
    out = capsys.readouterr().out
    assert "6 trials of at most 2 epochs, by recall@20 on validation data" in out
    lines = [line for line in out.splitlines() if line[:3].strip().isdigit()]
    assert [line.split("/")[0].strip() for line in lines] == list("123456")
    assert " 6 trials: " in out
    best = float(out.split("valid recall@20")[1].splitlines()[1].split()[0])
    path = Path("configs/models/BPR/synthetic.yaml")
    text, values = path.read_text(), yaml.safe_load(path.read_text())
    assert list(values) == ["learning_rate", "embedding_size", "train_batch_size"]  # no budget
    assert values["train_batch_size"] == 64
    for part in (f"recall@20 {best:.6f} on validation data", "# seed      5, split seed 2020",
                 "# protocol  clean", "# trials    6 trials: ",
                 "# budget    at most 2 epochs a trial", "40 users, 60 items",
                 "diffkg-recbole tune --model=BPR --dataset=synthetic"):
        assert part in text
    assert "data_path" not in text
    assert "# default" not in text  # BPR's own embedding size is outside the space

    command = shlex.split(out.split("next: ")[1])
    assert command[:2] == ["diffkg-recbole", "train"]
    assert main([*command[1:], "--show_progress=False"]) == 0
    record, = RunStore("runs").records()
    assert record.valid["recall@20"] == pytest.approx(best, abs=5e-7)
    assert record["seed"] == 5


def test_the_command_without_a_file_trains_the_same(flags, capsys):
    assert tune(flags, "--trials=2") == 0
    out = capsys.readouterr().out
    best = float(out.split("valid recall@20")[1].splitlines()[1].split()[0])
    assert main([*shlex.split(out.split("next: ")[1])[1:], "--show_progress=False"]) == 0
    record, = RunStore("runs").records()
    assert record.valid["recall@20"] == pytest.approx(best, abs=5e-7)


def test_the_file_says_what_the_models_own_values_reach(flags, capsys):
    assert tune(flags, "--trials=2", "--embedding_size=8", "--write=best.yaml") == 0
    first = next(line for line in capsys.readouterr().out.splitlines() if "1/2" in line)
    assert "learning_rate 0.001" in first
    line = next(line for line in Path("best.yaml").read_text().splitlines()
                if line.startswith("# default   recall@20 "))
    assert f"{float(line.split()[3]):.4f}" == first.split()[2]


def test_a_search_is_written_even_if_the_models_own_values_fail(flags, monkeypatch):
    train = trial_processes.train

    def failing(task, report):
        if task.settings["learning_rate"] == 0.001:
            raise MemoryError("no room")
        return train(task, report)

    monkeypatch.setattr(trial_processes, "train", failing)
    assert tune(flags, "--trials=2", "--embedding_size=8", "--write=best.yaml") == 1
    text = Path("best.yaml").read_text()
    assert "# score     recall@20 " in text
    assert "# default" not in text


def test_what_the_search_warns_of_stands_in_the_file_too(flags, capsys):
    assert tune(flags, "--trials=2", "--epochs=1", "--write=best.yaml") == 0
    note = "note: the best epoch is the last of 1; a larger budget may do better"
    assert note in capsys.readouterr().out
    assert f"# {note.replace(': ', '      ', 1)}\n" in Path("best.yaml").read_text()


def test_a_finished_search_trains_nothing_and_can_still_be_written(flags, capsys, monkeypatch):
    assert tune(flags, "--trials=2") == 0
    before = results(flags)
    monkeypatch.setattr(trial_processes, "train", None)
    capsys.readouterr()
    assert tune(flags, "--trials=2", "--write=best.yaml") == 0
    assert "2 of 2 trials are there already" in capsys.readouterr().out
    assert Path("best.yaml").is_file()
    assert results(flags) == before
    assert tune(flags, "--trials=2", "--write=best.yaml") == 0  # its own file may be replaced


class KilledError(BaseException):
    """Stands for a process that ends without warning."""


def test_the_seed_determines_a_search_even_if_it_is_interrupted(flags, monkeypatch):
    assert tune(flags, "--store=whole") == 0
    train = trial_processes.train
    started = []

    def dying(task, report):
        started.append(task)
        if len(started) != 3:
            return train(task, report)

        def die(epoch, score):
            raise KilledError

        return train(task, die)

    monkeypatch.setattr(trial_processes, "train", dying)
    with pytest.raises(KilledError):
        tune(flags)
    assert len(results(flags)) == 2
    assert tune(flags) == 0
    whole = results(flags, "whole")
    assert results(flags) == whole
    assert len(started) == 7  # the third trial twice
    assert started[2].settings == started[3].settings
    assert {outcome for _, outcome, _ in whole} <= {"finished", "pruned"}


@pytest.mark.slow
def test_a_killed_process_loses_one_trial(flags, tmp_path):
    more = ["--epochs=40", "--stopping_step=100", "--trials=4"]
    command = [sys.executable, "-m", "diffkg_recbole", "tune", *flags, *more]
    log = tmp_path / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    end = time.monotonic() + 120
    while not any(b'"result"' in path.read_bytes() for path in Path("runs").glob("*.journal")):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, "gave up waiting"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = results([*flags, *more[:2]])
    assert 1 <= len(done) < 4
    assert tune(flags, *more) == 0
    resumed = results([*flags, *more[:2]])
    assert resumed[:len(done)] == done
    assert tune(flags, *more, "--store=whole") == 0
    assert results([*flags, *more[:2]], "whole") == resumed


def test_a_failed_trial_is_told_and_run_again(flags, monkeypatch, capsys):
    train = trial_processes.train
    failing = [True]

    def broken(task, report):
        if task.settings["embedding_size"] == 8 and failing[0]:
            raise MemoryError("no room")
        return train(task, report)

    monkeypatch.setattr(trial_processes, "train", broken)
    assert tune(flags) == 1
    captured = capsys.readouterr()
    assert "MemoryError: no room" in captured.out
    assert "trials failed; the same command tries them again" in captured.err
    failed = [settings for settings, outcome, _ in results(flags) if outcome == "failed"]
    failing[0] = False
    assert tune(flags) == 0
    again = results(flags)
    assert len(again) == 6
    assert [settings for settings, _, _ in again if settings in failed] == failed


def test_no_score_at_all_is_an_error(flags, monkeypatch, capsys):
    def broken(task, report):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(trial_processes, "train", broken)
    assert tune(flags, "--trials=1") == 2
    assert "error: no trial gave a score: RuntimeError: the disk is full" in (
        capsys.readouterr().err)


@pytest.mark.slow
def test_several_processes_make_the_same_trials_of_the_same_settings(flags):
    Path("configs/tuning/BPR.yaml").write_text("embedding_size: {choice: [4, 8, 16]}\n")
    assert tune(flags, "--jobs=2") == 0
    assert tune(flags, "--store=whole") == 0
    several = sorted(results(flags), key=str)
    assert several == sorted(results(flags, "whole"), key=str)
    assert len(several) == 3


class Recorder:
    """A view that keeps what it is told."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def started(self, drawn) -> None:
        self.seen.append("started")

    def epoch(self, drawn, epoch, score) -> None:
        self.seen.append("epoch")

    def ended(self, drawn) -> None:
        self.seen.append("ended")


class Dead:
    """A process that the system killed."""

    exitcode = -9

    def join(self, timeout=None) -> None:
        pass


def test_a_process_that_dies_fails_its_trial_and_is_replaced(tmp_path, monkeypatch):
    search = search_of(Parameter("learning_rate", "log", (1e-3, 1e-1)), trials=2)
    with Study(search, tmp_path, jobs=2) as study:
        view = Recorder()
        pool = _Pool(study, view)
        here, there = pool.context.Pipe()
        monkeypatch.setattr(pool, "_start", lambda slot: "another")
        pool.workers = [_Worker(Dead(), here)]
        pool._give(0)
        there.close()
        pool._hear(0)
        assert pool.workers == ["another"]
        assert view.seen == ["started", "ended"]
        assert study.trials[0].user_attrs[RESULT]["error"] == "its process ended with status -9"
        assert study.left == 1


@pytest.mark.parametrize(("words", "message"), [
    (["--model=BRP", "--dataset=synthetic"], "no model named 'BRP'; near: BPR"),
    (["--dataset=synthetic"], "no model is named; give --model=<name>"),
    (["--model=BPR"], "no dataset is named; give --dataset=<name>"),
    (["--model=DMF", "--dataset=synthetic"], "there is no search space for DMF"),
    (["--space=absent.yaml"], "absent.yaml does not exist"),
    (["--space=bad.yaml"], "bad.yaml: 2 problems; nothing was run"),
    (["--write=mine.yaml"], "mine.yaml was not written by a search and is not replaced"),
    (["--seed=x"], "'seed'"),
    (["stray"], "argument 'stray' is not understood"),
    (["--eval_protocol=authors"], "protocol 'authors' chooses on the test part"),
])
def test_user_errors_are_one_message_and_run_nothing(flags, capsys, words, message):
    Path("bad.yaml").write_text("learning_rate: {log: [1, 0]}\nn_layers: {int: [1, 2]}\n")
    Path("mine.yaml").write_text("learning_rate: 0.1\n")
    given = words if words[-1].startswith("--dataset") or words[0] == "--model=BPR" else [
        *flags, *words]
    assert main(["tune", *given]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert not list(Path().glob("runs/*.journal"))
    assert Path("mine.yaml").read_text() == "learning_rate: 0.1\n"


@pytest.mark.parametrize("flag", [["--jobs", "0"], ["--trials", "many"]])
def test_wrong_flags_have_status_2(flags, flag):
    with pytest.raises(SystemExit) as ended:
        tune(flags, *flag)
    assert ended.value.code == 2


def test_a_knowledge_model_needs_a_graph(flags, capsys):
    Path("configs/tuning/KGAT.yaml").write_text("reg_weight: {log: [1e-6, 1e-3]}\n")
    Path("data/synthetic/synthetic.kg").unlink()
    assert main(["tune", "--model=KGAT", *flags[1:]]) == 2
    assert "KGAT is a knowledge model, but dataset 'synthetic' has no graph" in (
        capsys.readouterr().err)


def test_a_search_says_where_its_best_value_lies_at_an_end(flags, capsys):
    Path("configs/tuning/BPR.yaml").write_text("learning_rate: {log: [1.0e-6, 1.0e-5]}\n")
    from diffkg_recbole.tune.trials_view import ends_reached

    assert tune(flags, "--trials=1") == 0
    search = make_search("BPR", "synthetic", (), flags[2:])
    with Study(search, Path("runs")) as study:
        best = study.ranked[0]
    result = best.user_attrs[RESULT]
    result["epoch"], result["settings"]["learning_rate"] = 0, 3e-6
    assert ends_reached(search, best) == []
    result["epoch"], result["settings"]["learning_rate"] = 1, 9.9e-6
    assert ends_reached(search, best) == [
        "learning_rate is best at the end of its range (9.9e-06 in log [1e-06, 1e-05]); "
        "a wider range may do better",
        "the best epoch is the last of 2; a larger budget may do better"]


def test_the_file_of_another_is_not_replaced_even_if_it_appears_late(flags):
    from diffkg_recbole.tune.result import write_settings

    assert tune(flags, "--trials=1") == 0
    Path("late.yaml").write_text("epochs: 3\n")
    with Study(make_search("BPR", "synthetic", (), flags[2:]), Path("runs")) as study, \
            pytest.raises(UserError, match="was not written by a search"):
        write_settings(study, Path("late.yaml"))
    assert Path("late.yaml").read_text() == "epochs: 3\n"
