"""Runs the trials of a study: one after the other, or several at once in processes."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import torch

from diffkg_recbole.compare.jobs import STOP_SECONDS
from diffkg_recbole.processes import environment, worker_environment
from diffkg_recbole.tune.study import Drawn, Study
from diffkg_recbole.tune.trial import DataChangedError, Task, train


class View(Protocol):
    """Is told what happens."""

    def started(self, drawn: Drawn) -> None:
        """A trial begins."""

    def epoch(self, drawn: Drawn, epoch: int, score: float) -> None:
        """A trial has validated an epoch."""

    def ended(self, drawn: Drawn) -> None:
        """A trial is recorded in the study."""


def run_trials(study: Study, view: View) -> None:
    """Run what is left of a search, ``study.jobs`` trials at once.

    With one at once, the trials are a function of the seed; with more, also of which trial
    happens to end first.

    Raises:
        DataChangedError: the data are no longer those of the search.
    """
    if study.jobs == 1:
        _one_by_one(study, view)
    else:
        _Pool(study, view).run()


def _one_by_one(study: Study, view: View) -> None:
    while study.left:
        drawn = study.draw()
        view.started(drawn)

        def report(epoch: int, score: float, drawn: Drawn = drawn) -> bool:
            view.epoch(drawn, epoch, score)
            return study.should_go_on(drawn, epoch, score)

        try:
            result = train(study.task(drawn), report)
        except DataChangedError:
            raise
        except Exception as error:  # whatever a training raises is the outcome of this trial
            study.fail(drawn, _words(error))
        else:
            study.record(drawn, result)
        view.ended(drawn)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


# ---- several at once -------------------------------------------------------------------------


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    drawn: Drawn | None = None


class _Pool:
    """Processes that train; the study is read and written here alone."""

    def __init__(self, study: Study, view: View) -> None:
        self.study, self.view = study, view
        self.jobs = min(study.jobs, study.left)
        self.context = multiprocessing.get_context("spawn")
        self.workers: list[_Worker] = []

    def run(self) -> None:
        """Run what is left."""
        try:
            self.workers = [self._start(slot) for slot in range(self.jobs)]
            while True:
                for slot, worker in enumerate(self.workers):
                    if worker.drawn is None and self.study.left:
                        self._give(slot)
                busy = [worker for worker in self.workers if worker.drawn is not None]
                if not busy:
                    return
                ready = wait([worker.pipe for worker in busy])
                for slot, worker in enumerate(self.workers):
                    if worker.pipe in ready:
                        self._hear(slot)
        finally:
            for worker in self.workers:
                worker.pipe.close()  # which ends an idle one
                if worker.drawn is not None:
                    worker.process.terminate()
            for worker in self.workers:
                worker.process.join(STOP_SECONDS)
                worker.process.kill()

    def _start(self, slot: int) -> _Worker:
        here, there = self.context.Pipe()
        variables = worker_environment(self.jobs)
        threads = int(variables["OMP_NUM_THREADS"])
        process = self.context.Process(target=_work, args=(there, threads), daemon=True)
        with environment(variables):  # read when a process loads torch
            process.start()
        there.close()
        return _Worker(process, here)

    def _give(self, slot: int) -> None:
        worker, gpus = self.workers[slot], torch.cuda.device_count()
        worker.drawn = self.study.draw()
        words = [f"--gpu_id={slot % gpus}"] if gpus > 1 else []
        self.view.started(worker.drawn)
        worker.pipe.send(self.study.task(worker.drawn, words))

    def _hear(self, slot: int) -> None:
        worker = self.workers[slot]
        drawn = worker.drawn
        assert drawn is not None
        try:
            kind, content = worker.pipe.recv()
        except (EOFError, ConnectionError):
            worker.process.join()
            kind, content = "failed", f"its process ended with status {worker.process.exitcode}"
            self.workers[slot] = self._start(slot)
        if kind == "epoch":
            self.view.epoch(drawn, *content)
            worker.pipe.send(self.study.should_go_on(drawn, *content))
            return
        if kind == "stop":
            raise DataChangedError(content)
        if kind == "failed":
            self.study.fail(drawn, content)
        else:
            self.study.record(drawn, content)
        worker.drawn = None
        self.view.ended(drawn)


def _work(pipe: Connection, threads: int) -> None:
    """A process that trains what it is sent, until its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends us
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # with what is to be tidied up at exit
    torch.set_num_threads(threads)

    def report(epoch: int, score: float) -> bool:
        pipe.send(("epoch", (epoch, score)))
        return pipe.recv()

    try:
        while True:
            pipe.send(_answer(pipe.recv(), report))
    except (EOFError, ConnectionError):
        return


def _answer(task: Task, report: Any) -> tuple[str, Any]:
    try:
        return "ended", train(task, report)
    except (EOFError, ConnectionError):
        raise
    except DataChangedError as error:
        return "stop", str(error)
    except Exception as error:  # as in _one_by_one
        return "failed", _words(error)
