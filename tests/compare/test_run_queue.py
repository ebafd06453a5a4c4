from __future__ import annotations

import pytest

from diffkg_recbole.compare import run_queue as module
from diffkg_recbole.compare.run_queue import execute
from tests.compare.planned import plan_of, record_as_finished

FOUR = "datasets: tiny\nseeds: [1, 2]\nsettings: {epochs: 3}\nmodels: [BPR, Pop]\n"


class FakeJob:
    """Finishes after some polls: well (recording a result), badly, or well without a result."""

    def __init__(self, run, plan, polls, kind):
        self.run, self._plan, self._polls, self._kind = run, plan, polls, kind
        self.stopped = self.waited = False

    def poll(self):
        self._polls -= 1
        if self._polls > 0:
            return None
        if self._kind == "good":
            record_as_finished(self._plan, self.run)
        return 1 if self._kind == "bad" else 0

    def stop(self):
        self.stopped = True

    def wait_stopped(self):
        self.waited = True

    def error(self):
        return "it broke"


class FakeLauncher:
    def __init__(self, plan, kinds=("good",), interrupt_at=None):
        self.plan, self.kinds, self.interrupt_at = plan, kinds, interrupt_at
        self.jobs, self.slots, self.most = [], [], 0

    def start(self, run, slot):
        if len(self.jobs) == self.interrupt_at:
            raise KeyboardInterrupt
        kind = self.kinds[len(self.jobs) % len(self.kinds)]
        job = FakeJob(run, self.plan, 2 + len(self.jobs), kind)
        self.jobs.append(job)
        self.slots.append(slot)
        self.most = max(self.most, sum(job._polls > 0 for job in self.jobs))
        return job


class Recorder:
    def __init__(self):
        self.log, self.shown = [], []

    def show(self, active, waiting):
        self.shown.append((len(active), waiting))

    def started(self, run):
        self.log.append(("started", run.label, run.seed))

    def ended(self, outcome):
        self.log.append(("ended", outcome.run.label, outcome.run.seed))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(module, "POLL_SECONDS", 0.0)


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_run_is_done_once_and_no_more_than_jobs_at_once(tmp_path, jobs):
    plan = plan_of(tmp_path, FOUR)
    launcher, view = FakeLauncher(plan), Recorder()
    outcomes = execute(plan.runs, plan.store, launcher, jobs, view)
    assert [job.run for job in launcher.jobs] == plan.runs
    assert launcher.most == jobs
    assert set(launcher.slots) == set(range(jobs))
    assert all(outcome.error is None and outcome.record.finished for outcome in outcomes)
    assert len(plan.store.records(status="finished")) == 4
    assert sorted(view.log) == sorted(
        (what, run.label, run.seed) for run in plan.runs for what in ("started", "ended"))
    assert view.shown[-1] == (0, 0)


def test_a_failed_run_does_not_stop_the_others(tmp_path):
    plan = plan_of(tmp_path, FOUR)
    outcomes = execute(plan.runs, plan.store, FakeLauncher(plan, ("bad", "good")), 2, Recorder())
    assert {(o.run.label, o.run.seed): o.error for o in outcomes} == {
        ("BPR", 1): "it broke", ("Pop", 1): None, ("BPR", 2): "it broke", ("Pop", 2): None}


def test_a_run_without_a_result_has_failed_whatever_its_exit_status(tmp_path):
    plan = plan_of(tmp_path, FOUR)
    (outcome,) = execute(plan.runs[:1], plan.store, FakeLauncher(plan, ("empty",)), 1, Recorder())
    assert "has no finished run of it" in outcome.error
    assert outcome.record is None


def test_a_result_on_other_files_with_the_same_pairs_counts(tmp_path):
    """The run itself compares the pairs, and ends well at once if its result is there."""
    plan = plan_of(tmp_path, FOUR)
    path = record_as_finished(plan, plan.runs[0]).folder / "run.json"
    path.write_text(path.read_text().replace(plan.runs[0].files["tiny.train.inter"], "rewritten"))
    good = FakeLauncher(plan, ("empty",))
    (outcome,) = execute(plan.runs[:1], plan.store, good, 1, Recorder())
    assert (outcome.error, outcome.record.finished) == (None, True)
    (outcome,) = execute(plan.runs[:1], plan.store, FakeLauncher(plan, ("bad",)), 1, Recorder())
    assert outcome.error == "it broke"


def test_the_error_that_a_run_recorded_is_told_but_not_an_old_one(tmp_path):
    plan = plan_of(tmp_path, FOUR)
    record = record_as_finished(plan, plan.runs[0])
    path = record.folder / "run.json"
    path.write_text(path.read_text().replace('"finished"', '"failed"', 1)
                    .replace('"error": null', '"error": "out of luck"'))
    bad = FakeLauncher(plan, ("bad",))
    (outcome,) = execute(plan.runs[:1], plan.store, bad, 1, Recorder())
    assert outcome.error == "out of luck"
    import os

    os.utime(path, (0, 0))
    (outcome,) = execute(plan.runs[:1], plan.store, bad, 1, Recorder())
    assert outcome.error == "it broke"


def test_an_interrupt_stops_what_is_at_work_and_waits_for_it(tmp_path):
    plan = plan_of(tmp_path, FOUR)
    launcher = FakeLauncher(plan, interrupt_at=2)
    with pytest.raises(KeyboardInterrupt):
        execute(plan.runs, plan.store, launcher, 3, Recorder())
    assert [(job.stopped, job.waited) for job in launcher.jobs] == [(True, True)] * 2


def test_progress_is_read_from_the_run_folder(tmp_path):
    plan = plan_of(tmp_path, FOUR)
    seen = []

    class Watcher(Recorder):
        def show(self, active, waiting):
            seen.extend(len(one.rows) for one in active)

    class WritingJob(FakeJob):
        """Has a folder with one epoch from the start, and never finishes it."""

        def __init__(self, *arguments):
            super().__init__(*arguments)
            record_as_finished(self._plan, self.run)

    class Launcher(FakeLauncher):
        def start(self, run, slot):
            return WritingJob(run, self.plan, 3, "empty")

    execute(plan.runs[:1], plan.store, Launcher(plan), 1, Watcher())
    assert seen == [1, 1]
