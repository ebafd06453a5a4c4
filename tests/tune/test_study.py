"""The study: what is drawn, what is kept, and what a new process makes of it. No training."""

from __future__ import annotations

import optuna
import pytest

from diffkg_recbole.errors import UserError
from diffkg_recbole.store import RunBusyError
from diffkg_recbole.tune.space import Parameter
from diffkg_recbole.tune.study import RESULT, Study, study_path
from diffkg_recbole.tune.trial import Result
from tests.tune.searches import finished, search_of

RATE = Parameter("learning_rate", "log", (1e-4, 1e-1))
LAYERS = Parameter("n_layers", "int", (1, 3))


@pytest.fixture(autouse=True)
def _quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


def score_of(settings: dict) -> float:
    return 1 / (1 + abs(settings["learning_rate"] - 0.01) * 100) + settings["n_layers"] / 100


def work(study: Study, most: int = 1000) -> list[tuple]:
    """Run trials with made-up scores; returns the settings and the values of all so far."""
    while study.left and most:
        drawn = study.draw()
        study.record(drawn, finished(score_of(drawn.settings)))
        most -= 1
    return [(trial.user_attrs[RESULT]["settings"], trial.value) for trial in study.trials]


def test_the_defaults_are_tried_first_then_the_seed_decides(tmp_path):
    search = search_of(RATE, LAYERS, learning_rate=0.001, n_layers=2, trials=12)
    with Study(search, tmp_path / "a") as study:
        one = work(study)
    with Study(search, tmp_path / "b") as study:
        again = work(study)
    with Study(search_of(RATE, LAYERS, learning_rate=0.001, n_layers=2, trials=12, seed=2),
               tmp_path / "c") as study:
        other = work(study)
    assert one[0][0] == other[0][0] == {"learning_rate": 0.001, "n_layers": 2}
    assert len(one) == 12
    assert one == again
    assert len({str(settings) for settings, _ in one}) == 12
    assert all(a != b for a, b in zip(one[1:], other[1:]))


@pytest.mark.parametrize("stop", [1, 4, 7])
def test_a_search_that_stopped_goes_on_with_the_trials_it_would_have_made(tmp_path, stop):
    search = search_of(RATE, LAYERS, learning_rate=0.001, n_layers=2, trials=9)
    with Study(search, tmp_path / "whole") as study:
        whole = work(study)
    with Study(search, tmp_path / "runs") as study:
        work(study, stop)
        lost = study.draw()  # and nothing is heard of it again
        study.should_go_on(lost, 0, 0.5)
    with Study(search, tmp_path / "runs") as study:
        assert len(study.trials) == stop
        assert study.left == 9 - stop
        assert work(study) == whole
        states = [t.state.name for t in study.study.trials]
        assert states.count("FAIL") == 1  # the lost attempt is kept, and does not count
        assert states.count("COMPLETE") == 9


def test_a_kill_between_a_result_and_its_end_loses_nothing(tmp_path, monkeypatch):
    search = search_of(RATE, LAYERS, trials=3)
    with Study(search, tmp_path) as study:
        work(study, 1)
        drawn = study.draw()
        monkeypatch.setattr(study, "_tell", lambda number, result: None)
        study.record(drawn, finished(0.7))
    with Study(search, tmp_path) as study:
        assert [t.value for t in study.trials][1:] == [0.7]
        assert study.left == 1


def test_more_trials_go_on_with_the_same_study(tmp_path):
    few = search_of(RATE, LAYERS, trials=4)
    more = search_of(RATE, LAYERS, trials=7)
    assert study_path(few, tmp_path) == study_path(more, tmp_path)
    with Study(few, tmp_path) as study:
        first = work(study)
    with Study(more, tmp_path) as study:
        assert study.left == 3
        assert work(study)[:4] == first
    with Study(few, tmp_path) as study:
        assert study.left == 0
        assert study.total == 7


@pytest.mark.parametrize("change", ["seed", "space", "data", "budget"])
def test_what_determines_the_trials_names_the_study(tmp_path, change):
    search = search_of(RATE, LAYERS)
    other = {
        "seed": search_of(RATE, LAYERS, seed=2),
        "space": search_of(RATE, Parameter("n_layers", "int", (1, 4))),
        "data": search_of(RATE, LAYERS),
        "budget": search_of(RATE, LAYERS),
    }[change]
    if change == "data":
        other.fingerprint["all"] = "e" * 64
    if change == "budget":
        other.configuration["epochs"] = 3
    assert study_path(search, tmp_path) != study_path(other, tmp_path)


def test_a_small_space_is_gone_through_once(tmp_path):
    search = search_of(LAYERS, Parameter("k", "choice", ([1], [2])), trials=20, n_layers=1, k=[1])
    with Study(search, tmp_path) as study:
        assert (study.left, study.total) == (6, 6)
        for _ in range(4):
            study.record(study.draw(), finished(0.5))
        study.draw()
    with Study(search, tmp_path) as study:
        assert (study.left, study.total) == (2, 6)
        while study.left:
            study.record(study.draw(), finished(0.5))
        tried = [tuple(map(str, t.user_attrs[RESULT]["settings"].values())) for t in study.trials]
    assert sorted(tried) == sorted((str(n), str([k])) for n in (1, 2, 3) for k in (1, 2))


def test_a_model_without_parameters_has_one_trial(tmp_path):
    with Study(search_of(trials=20), tmp_path) as study:
        assert study.left == 1
        lost = study.draw()
        assert lost.settings == {}
        assert study.left == 0
    with Study(search_of(trials=20), tmp_path) as study:
        assert study.left == 1
        study.record(study.draw(), finished(0.3))
        assert (study.left, study.ranked[0].value) == (0, 0.3)


def test_failed_trials_are_run_again_by_the_next_process(tmp_path):
    search = search_of(RATE, LAYERS, trials=3)
    with Study(search, tmp_path) as study:
        work(study, 1)
        failed = study.draw()
        study.fail(failed, "MemoryError: no room")
        work(study)
        assert study.left == 0  # it counts, or a search could go on for ever
        assert [t.user_attrs[RESULT]["outcome"] for t in study.trials] == [
            "finished", "failed", "finished"]
    with Study(search, tmp_path) as study:
        assert study.left == 1
        again = study.draw()
        assert again.settings == failed.settings
        study.record(again, finished(0.9))
        assert [t.user_attrs[RESULT]["outcome"] for t in study.trials] == ["finished"] * 3
        assert study.ranked[0].user_attrs[RESULT]["settings"] == failed.settings


def test_hopeless_trials_are_given_up_and_never_chosen(tmp_path):
    with Study(search_of(RATE, LAYERS, trials=6), tmp_path) as study:
        for _ in range(3):
            drawn = study.draw()
            assert study.should_go_on(drawn, 0, 0.5)
            study.record(drawn, finished(0.5))
        worse = study.draw()
        assert not study.should_go_on(worse, 0, 0.4)
        study.record(worse, Result("pruned", 0.4, 0, 1, {"recall@20": 0.4}, 0.1))
        nan = study.draw()
        study.record(nan, Result("diverged", None, None, 0, {}, 0.1))
        better = study.draw()
        assert study.should_go_on(better, 0, 0.6)
        study.record(better, finished(0.6))
        assert [t.value for t in study.ranked] == [0.6, 0.5, 0.5, 0.5]
        assert [t.number for t in study.ranked][1:] == [0, 1, 2]
        assert study.left == 0


def test_a_line_torn_by_a_power_cut_is_dropped(tmp_path):
    search = search_of(RATE, LAYERS, trials=5)
    with Study(search, tmp_path) as study:
        work(study, 3)
        path = study.path
    path.write_bytes(path.read_bytes() + b'{"op_code":5,"worker_')
    path.with_name(path.name + ".lock").touch()  # of a process that was killed while it wrote
    with Study(search, tmp_path) as study:
        assert len(work(study)) == 5
    with Study(search, tmp_path) as study:
        assert len(study.trials) == 5


def test_a_damaged_study_is_a_clear_error(tmp_path):
    search = search_of(RATE, LAYERS)
    with Study(search, tmp_path) as study:
        work(study, 1)
    lines = study.path.read_bytes().splitlines(keepends=True)
    study.path.write_bytes(b"".join([lines[0], b"garbage\n", *lines[2:]]))
    with pytest.raises(UserError, match=r"the study .*journal cannot be read .* remove it"), \
            Study(search, tmp_path):
        pass


def test_one_process_at_a_time(tmp_path):
    search = search_of(RATE, LAYERS)
    with Study(search, tmp_path), pytest.raises(RunBusyError, match="another process"), \
            Study(search, tmp_path):
        pass
    with Study(search, tmp_path) as study:
        assert study.left == 6
