"""From a configuration to a trained, evaluated and recorded model.

The functions have the names and results of ``recbole.quick_start``, which cannot be imported on
today's stack (it imports Ray, which needs ``pkg_resources`` and ``numpy.bool8``).
"""

from __future__ import annotations

from diffkg_recbole import needs_recbole  # noqa: F401

# isort: split
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from recbole.utils import ModelType, init_seed, set_color
from torch.multiprocessing.spawn import ProcessException

from diffkg_recbole import memory_plan, parallel, run_tables
from diffkg_recbole.config import Config
from diffkg_recbole.data import create_dataset, data_preparation
from diffkg_recbole.data.fingerprint import fingerprint
from diffkg_recbole.data.parts_audit import audit
from diffkg_recbole.errors import DataError, UserError
from diffkg_recbole.model import get_model
from diffkg_recbole.parallel import rank_and_world
from diffkg_recbole.run_log import listening, log_file
from diffkg_recbole.screen import Screen
from diffkg_recbole.shortage import told_as_user_errors
from diffkg_recbole.store import DEFAULT_STORE, Run, RunStore, code_hash, graph_hash
from diffkg_recbole.text import one_line
from diffkg_recbole.trainer import get_trainer
from diffkg_recbole.trainer.checkpoint import fill_model, load_checkpoint

_log = logging.getLogger(__name__)


@dataclass
class Experiment:
    """Configuration, data and model of one run, ready to train."""

    config: Config
    dataset: Any
    train_data: Any
    valid_data: Any
    test_data: Any
    audit: dict[str, Any] = field(default_factory=dict)
    fingerprint: dict[str, Any] = field(default_factory=dict)

    @property
    def train(self) -> Any:
        """Training part."""
        return _dataset_of(self.train_data)

    def build_model(self) -> Any:
        """The model with freshly drawn parameters (``seed``), on the configured device.

        Data-parallel processes draw alike (in RecBole each has a seed of its own): so they agree
        on parameters, batches, negatives, and the subgraphs that some models draw.
        """
        config = self.config
        init_seed(config["seed"], config["reproducibility"])
        return config.model_class(config, self.train).to(config["device"])

    def build_trainer(self, model: torch.nn.Module) -> Any:
        """The model's trainer."""
        config = self.config
        return get_trainer(config["MODEL_TYPE"], config["model"])(config, model)


def _dataset_of(loader: Any) -> Any:
    return loader._dataset


def prepare(config: Config) -> Experiment:
    """Load, split and audit the data of a configuration."""
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    train_data, valid_data, test_data = data_preparation(config, dataset)
    parts = {name: _dataset_of(loader) for name, loader in
             (("train", train_data), ("valid", valid_data), ("test", test_data))}
    return Experiment(config, dataset, train_data, valid_data, test_data,
                      audit(dataset, parts), fingerprint(parts))


@told_as_user_errors()
def run_recbole(
    model: str | type | None = None,
    dataset: str | None = None,
    config_file_list: Sequence[str] | None = None,
    config_dict: dict[str, Any] | None = None,
    saved: bool = True,
    queue: Any = None,
    *,
    command_line: Sequence[str] = (),
    store: str | Path | None = DEFAULT_STORE,
    resume: bool = True,
    screen: Screen | None = None,
) -> dict[str, Any]:
    """Train and evaluate one model, as RecBole's function of this name.

    Args:
        model: model name or class.
        dataset: dataset name.
        config_file_list: YAML files.
        config_dict: values by key.
        saved: keep the best model and test it; otherwise the last one is tested.
        queue: receives the result (used by :func:`run` with several processes).
        command_line: words ``--key=value``; they come last.
        store: folder of run folders; None records nothing.
        resume: go on with an interrupted run of the same configuration, and return the result
            of a finished one; False runs it anew.
        screen: shows what happens; by default nothing is shown.

    Returns:
        ``best_valid_score``, ``valid_score_bigger``, ``best_valid_result``, ``test_result``.

    Raises:
        UserError: anything that is the user's to mend, in one sentence.
    """
    config = Config(model, dataset, config_file_list, config_dict, command_line)
    first = rank_and_world(config)[0] == 0
    screen = screen if screen is not None and first else Screen()
    try:
        with (listening(config["state"]), screen.listening(config),
              parallel.one_sentence_for_a_lost_process()):
            result = _run(config, saved, store, resume, screen)
    finally:
        if not config["single_spec"]:
            torch.distributed.destroy_process_group()
    if config["local_rank"] == 0 and queue is not None:
        queue.put(result)
    return result


def _run(
    config: Config, saved: bool, store: str | Path | None, resume: bool, screen: Screen
) -> dict[str, Any]:
    experiment = prepare(config)
    run = _open_run(experiment, store, resume) if saved and store is not None else None
    finished, resume_file = _agreed(config, [
        run is not None and run.finished,
        str(run.resume_path) if run is not None and run.resume_path.is_file() else None,
    ])
    if run is None:
        return {} if finished else _train(experiment, None, saved, resume_file, screen)
    if finished:
        _log.info(f"This run is finished already (see {run.folder}); its result is returned. "
                  "Pass --fresh to run it anew.")
        _attach(run, experiment)
        screen.end(run.record, run.folder, found=True)
        return run_tables.stored_result(run.record, config)
    result = _train_and_record(experiment, run, resume_file, screen)
    screen.end(run.record, run.folder)
    return result


def _train_and_record(
    experiment: Experiment, run: Run, resume_file: str | None, screen: Screen
) -> dict[str, Any]:
    try:
        with run, told_as_user_errors(), log_file(run.folder / "train.log"):
            return _train(experiment, run, True, resume_file, screen)
    except BaseException:
        if run.replaces_result:
            _log.warning("the earlier result stands; the same command goes on with the new one")
        raise


def _open_run(experiment: Experiment, store: str | Path, resume: bool) -> Run | None:
    """The run folder; in data-parallel runs only the first process records."""
    config = experiment.config
    if rank_and_world(config)[0] != 0:
        return None
    prints = experiment.fingerprint
    if config["MODEL_TYPE"] == ModelType.KNOWLEDGE:
        prints = {**prints, "graph": graph_hash(config["data_path"], config["dataset"])}
    identity = {"configuration": config.plain(), "fingerprint": prints,
                "code": code_hash(config.model_class), "device": config["device"].type}
    record = run_tables.run_record(config, prints, list(sys.argv))
    runs = RunStore(store)
    run = runs.open(identity, record) if resume else runs.open_fresh(identity, record)
    problem = run.damage() if run.finished else None
    if problem:
        _log.warning(f"run {run.folder.name} was finished, but {problem}; it is run anew")
        run = runs.open_fresh(identity, record)
    if not run.finished:
        _check_resumable(run)
        run.write_config(config.plain())
        run.write_audit(experiment.audit)
    return run


def _check_resumable(run: Run) -> None:
    """Start a run over whose state, best model and epochs do not belong together."""
    if not run.resume_path.is_file():
        return
    try:
        last = load_checkpoint(run.resume_path)
        done = last["epoch"] + 1
        if [row["epoch"] for row in run.epochs()[:done]] != list(range(done)):
            raise ValueError(f"epochs.jsonl lacks epochs before {done}")
        # a kill may leave a newer best model than the state; its epoch is repeated then
        if last["best_epoch"] is not None and (
                load_checkpoint(run.model_path)["epoch"] < last["best_epoch"]):
            raise ValueError(f"{run.model_path} is not the best model")
    except (UserError, KeyError, TypeError, ValueError) as error:
        run.start_over(one_line(error))


def _agreed(config: Config, values: list[Any]) -> list[Any]:
    """What the first process says, on every process."""
    if not config["single_spec"]:
        torch.distributed.broadcast_object_list(values)
    return values


def _train(
    experiment: Experiment, run: Run | None, saved: bool, resume_file: str | None,
    screen: Screen,
) -> dict[str, Any]:
    config, logger = experiment.config, logging.getLogger()
    logger.info(config)
    logger.info(experiment.dataset)
    logger.info(set_color("protocol", "blue") + f": {config['eval_protocol']}  "
                f"{experiment.audit['used']}  fingerprint {experiment.fingerprint['all'][:12]}")
    logger.info(f"{config['model']} on {config['dataset']} "
                f"{memory_plan.check(config, experiment.dataset)}")
    trainer = _build(experiment, run)
    if resume_file is not None:
        try:
            trainer.resume_checkpoint(resume_file)
        except UserError as error:
            if run is None:
                raise
            run.start_over(str(error))
            resume_file, trainer = None, _build(experiment, run)
    logger.info(trainer.model)

    def on_epoch(report: dict[str, Any]) -> None:
        if run is not None:
            run.append_epoch(report)
        screen.epoch(report)

    trainer.on_epoch = on_epoch
    earlier = [] if run is None or resume_file is None else run.epochs()
    screen.start(config, experiment.audit, earlier)
    trainer.fit(experiment.train_data, experiment.valid_data, saved=saved,
                show_progress=config["show_progress"])
    start = perf_counter()
    test_result = trainer.evaluate(experiment.test_data, load_best_model=saved,
                                   show_progress=config["show_progress"])
    trainer.tensorboard.close()
    if run is not None:
        _finish(run, experiment, trainer, test_result, perf_counter() - start)
    logger.info(set_color("best valid ", "yellow") + f": {trainer.best_valid_result}")
    logger.info(set_color("test result", "yellow") + f": {test_result}")
    return {
        "best_valid_score": trainer.best_valid_score,
        "valid_score_bigger": config["valid_metric_bigger"],
        "best_valid_result": trainer.best_valid_result,
        "test_result": test_result,
    }


def _build(experiment: Experiment, run: Run | None) -> Any:
    """Model and trainer, which keep their files in the run folder."""
    trainer = experiment.build_trainer(experiment.build_model())
    _share_checkpoint_path(experiment.config, trainer, run)
    if run is not None:
        trainer.open_tensorboard(run.folder / "tensorboard")
    return trainer


def _share_checkpoint_path(config: Config, trainer: Any, run: Run | None) -> None:
    """Checkpoints lie in the run folder; every process must read the first one's file."""
    if run is not None:
        trainer.saved_model_file = str(run.model_path)
        trainer.last_file = run.resume_path
    (trainer.saved_model_file,) = _agreed(config, [trainer.saved_model_file])


def _attach(run: Run, experiment: Experiment) -> None:
    """Give a finished run the label, and the lists of its best model, that are asked for now."""
    config = experiment.config
    label = str(config["label"]) if config["label"] else None
    if label is not None and label != run.record.get("label"):
        run.attach(label=label)
    lacks_lists = not (run.folder / "recommendations.parquet").exists()
    if lacks_lists and config["single_spec"] and run_tables.has_tables(
            config, experiment.test_data):
        trainer = experiment.build_trainer(experiment.build_model())
        trainer.evaluate(experiment.test_data, model_file=str(run.model_path))
        run.attach(**_tables(experiment, trainer))


def _finish(
    run: Run, experiment: Experiment, trainer: Any, test_result: dict, seconds: float
) -> None:
    run.finish(run_tables.summary(trainer, run.epochs(), test_result, seconds),
               **_tables(experiment, trainer))


def _tables(experiment: Experiment, trainer: Any) -> dict[str, Any]:
    return run_tables.tables(trainer.evaluator.ranked, experiment.test_data, experiment.train,
                             experiment.dataset, experiment.config)


def run(
    model: str | type | None = None,
    dataset: str | None = None,
    config_file_list: Sequence[str] | None = None,
    config_dict: dict[str, Any] | None = None,
    saved: bool = True,
    nproc: int = 1,
    world_size: int = -1,
    ip: str = "localhost",
    port: str | int | None = None,
    group_offset: int = 0,
    **options: Any,
) -> dict[str, Any] | None:
    """RecBole's ``run``: one process, or ``nproc`` data-parallel ones on this machine.

    Processes of one machine meet in a temporary file unless a ``port`` is given; those of several
    machines at ``ip`` and ``port`` (5678), and they share their folders. A process that
    ``torchrun`` started takes its place from there instead. ``options`` are those of
    :func:`run_recbole` (``command_line``, ``store``, ``resume``, ``screen``).

    Returns:
        what :func:`run_recbole` returns.
    """
    started = parallel.torchrun_keys()
    if started:
        shared = {**(config_dict or {}), **started}
        return run_recbole(model, dataset, config_file_list, shared, saved, **options)
    if nproc == 1 and world_size <= 0:
        return run_recbole(model, dataset, config_file_list, config_dict, saved, **options)
    world_size = nproc if world_size == -1 else world_size
    queue = torch.multiprocessing.get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="diffkg-recbole-") as folder:
        if port is None:
            port = str(Path(folder) / "processes") if world_size == nproc else "5678"
        shared = dict(config_dict or {}, world_size=world_size, ip=ip, port=str(port),
                      nproc=nproc, offset=group_offset)
        arguments = (model, dataset, config_file_list, shared, saved, queue, options)
        try:
            parallel.run_processes(_run_rank, arguments, nproc)
        except ProcessException:
            problem = None if queue.empty() else queue.get()
            if isinstance(problem, str):
                raise UserError(problem) from None
            raise
    return None if queue.empty() else queue.get()


def _run_rank(
    rank: int, model: Any, dataset: Any, files: Any, shared: dict, saved: bool, queue: Any,
    options: dict,
) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as torchrun does: ranks share the cores
    try:
        run_recbole(model, dataset, files, {**shared, "local_rank": rank}, saved, queue, **options)
    except UserError as error:
        queue.put(str(error))  # for the one who asked; the exit ends the other processes
        sys.exit(2)


def load_data_and_model(model_file: str | Path) -> tuple[Any, ...]:
    """Configuration, model and data behind a checkpoint, as RecBole's function of this name.

    Returns:
        config, model, dataset, train_data, valid_data, test_data.
    """
    checkpoint = load_checkpoint(model_file)
    experiment = prepare(_config_of(checkpoint, model_file))
    model = experiment.build_model()
    fill_model(model, checkpoint, model_file)
    return (experiment.config, model, experiment.dataset, experiment.train_data,
            experiment.valid_data, experiment.test_data)


def evaluate_checkpoint(model_file: str | Path) -> dict[str, float]:
    """Test metrics of a checkpoint, computed anew on the data its configuration names."""
    experiment = prepare(_config_of(load_checkpoint(model_file), model_file))
    trainer = experiment.build_trainer(experiment.build_model())
    return dict(trainer.evaluate(experiment.test_data, model_file=str(model_file)))


def _config_of(checkpoint: dict[str, Any], model_file: str | Path) -> Config:
    if "config" not in checkpoint:
        raise DataError(model_file, "holds no configuration", "a checkpoint of a run")
    try:
        return Config(config_dict=checkpoint["config"])
    except UserError as error:
        raise DataError(model_file, f"its configuration cannot be used ({error})") from None


__all__ = ["Experiment", "evaluate_checkpoint", "get_model", "load_data_and_model", "prepare",
           "run", "run_recbole"]
