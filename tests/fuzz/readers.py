"""Every reader of files from outside, with a sound file of its own, for damage to be tried on."""

from __future__ import annotations

import json
import pickle
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import scipy.sparse

from converters import dataset_yaml
from converters.atomic_reader import read_atomic as read_back
from converters.authors import read_authors
from converters.kgat import read_kgat
from converters.sources import SourceFolder
from converters.sparse_files import parse_matrix
from diffkg_recbole.compare.file import read_comparison
from diffkg_recbole.config import Config
from diffkg_recbole.config.plain_yaml import read_yaml
from diffkg_recbole.config.yaml_lines import FileProblemsError
from diffkg_recbole.data.atomic import Wanted, read_atomic
from diffkg_recbole.errors import UserError
from diffkg_recbole.quick_start import prepare
from diffkg_recbole.report import build_report
from diffkg_recbole.store import RunRecord, RunStore
from diffkg_recbole.trainer.checkpoint import load_checkpoint
from diffkg_recbole.tune.budget import read_budget
from diffkg_recbole.tune.result import settings_file_text, train_command
from diffkg_recbole.tune.space import Parameter, read_space
from diffkg_recbole.tune.study import Study, study_path
from diffkg_recbole.tune.trials_view import best_table, headline
from tests.data.small import write_small
from tests.run_folders import finished_run
from tests.tune.searches import BUDGET, SPACE, finished, search_of

SECONDS = 60  # what no damaged file of these sizes needs; a hang ends here


@dataclass(frozen=True)
class Reader:
    """A way to read one file.

    Args:
        make: writes a folder in which everything is sound, and returns the path of the file.
        read: reads the file at that path, and uses what it says.
        sealed: whether a changed file never reads as another sound one.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    sealed: bool = False


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    """Raise where the block hangs."""
    def stop(*_: object) -> None:
        raise TimeoutError(f"not done after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def try_damage(reader: Reader, path: Path, content: bytes) -> Any:
    """Read a file with this content; its value, or the refusal, which must be a proper one."""
    path.write_bytes(content)
    try:
        with no_longer_than(SECONDS):
            return reader.read(path)
    except UserError as error:
        text = str(error)
        assert path.name in text
        assert "\n" not in text or isinstance(error, FileProblemsError)  # noqa: PT017
        assert len(text) < 5_000
        return error


# ---- data --------------------------------------------------------------------------------------

ATOMIC = {
    "inter": ("user_id:token\titem_id:token\trating:float\n"
              "u1\ti1\t3\nu2\ti2\t4.5\nué\ti1\t\n", ("user_id", "item_id")),
    "item": ("item_id:token\tkinds:token_seq\tvector:float_seq\n"
             "i1\ta b\t1 2.5\ni2\t\t\n", ("item_id",)),
    "kg": ("head_id:token\trelation_id:token\ttail_id:token\ne1\tr\tx\ne2\tr\te1\n",
           ("head_id", "relation_id", "tail_id")),
    "link": ("item_id:token\tentity_id:token\r\ni1\te1\r\ni2\te2\r\n", ("item_id", "entity_id")),
}


def _file(name: str, content: str | bytes, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _pickled(kind: str, protocol: int) -> bytes:
    matrix = scipy.sparse.coo_matrix(([1.0, 2.0, 1.0], ([0, 1, 2], [1, 0, 3])), shape=(3, 4))
    return pickle.dumps(matrix.asformat(kind), protocol=protocol)


def _authors(name: str, folder: Path) -> Path:
    for file, content in (("trnMat.pkl", _pickled("csr", 4)), ("tstMat.pkl", _pickled("coo", 2)),
                          ("kg.txt", b"0 0 1\n1 1 2\n"),
                          ("item_list.txt", b"org_id remap_id\nA b 0\nB 3\n")):
        _file(file, content, folder)
    return folder / name


def _kgat(name: str, folder: Path) -> Path:
    for file, content in (("train.txt", b"0 0 1 3\n1 1 2\n"), ("valid.txt", b"0 2\n"),
                          ("test.txt", b"0 1\n1 3\n"), ("kg_final.txt", b"0 0 1\n1 1 2\n"),
                          ("entity_list.txt", b"org_id remap_id freebase_id\nA 0 m.1\n"),
                          ("item_list.txt", b"org_id remap_id\na 0\nb 3\n")):
        _file(file, content, folder)
    return folder / name


def _converted(data: Any) -> Any:
    return data.train.tolist(), data.test.tolist(), data.triples.tolist()


def _small(name: str, folder: Path) -> Path:
    write_small(folder)
    return folder / "small" / name


def _cached(model: str, folder: Path) -> Path:
    values = write_small(folder)
    prepare(Config(model, "small", config_dict=values))
    (path,) = (folder / ".cache" / "small").glob("*.npz")
    return path


def _from_cache(model: str, path: Path) -> Any:
    values = {"data_path": str(path.parents[2]), "benchmark_filename": ["train", "valid", "test"],
              "show_progress": False, "state": "error", "topk": [2], "valid_metric": "Recall@2"}
    return prepare(Config(model, "small", config_dict=values)).fingerprint


# ---- settings ----------------------------------------------------------------------------------

COMPARISON = """\
title: A comparison
datasets: [tiny]
seeds: [1, 2]
metrics: [recall@20]
settings: {epochs: 1, learning_rate: 1e-3}
models:
  - BPR
  - {model: KGAT, kg: [original, none], variants: [{layers: [16]}]}
"""


# ---- runs --------------------------------------------------------------------------------------


def _run(name: str, folder: Path) -> Path:
    users = pd.DataFrame({"user": ["a", "b"], "n_train": [1, 2], "recall@20": [0.5, 0.25]})
    pairs = pd.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "rank": [1, 0],
                          "item_popularity": [3, 1], "item_triples": [0, 2]})
    record = finished_run(folder, users, pairs=pairs, reads_graph=False)
    (record.folder / "audit.json").write_text(json.dumps({"users": 2}))
    return record.folder / name


def _whole_run(path: Path) -> Any:
    """As the report and the list of runs use it."""
    record = RunRecord(path.parent)
    record.matches(model="BPR", status="finished", label="x")
    report = build_report(*RunStore(path.parents[1]).scan())
    for _, why in report.corrupt:
        raise UserError(f"{path.name} {why}")
    return {row.label: row.metrics for one in report.sections for row in one.section.rows}


def _opened(path: Path) -> Any:
    """As a training opens it that would go on with it."""
    record = {"model": "BPR", "dataset": "tiny", "fingerprint": {"all": "x"}}
    store = RunStore(path.parents[1])
    with store.open({"configuration": {"a": 1}, "fingerprint": {"all": "x"}}, record) as run:
        return run.finished, run.damage() if run.finished else run.epochs()


def _begun(name: str, folder: Path) -> Path:
    record = {"model": "BPR", "dataset": "tiny", "fingerprint": {"all": "x"}}
    with RunStore(folder).open({"configuration": {"a": 1}, "fingerprint": {"all": "x"}},
                               record) as run:
        for epoch in range(2):
            run.append_epoch({"epoch": epoch, "losses": {"bpr": 0.5}, "valid": {"recall@20": 0.1}})
    return run.folder / name


def _checkpoint(name: str, folder: Path) -> Path:
    _trainer().training_files(folder)
    return folder / name


class _Trained:
    """A small model, trained once."""

    def __init__(self) -> None:
        from tests.tiny_models import experiment

        self.experiment = experiment("BPR", embedding_size=2, epochs=1)
        self.files: dict[str, bytes] = {}

    def training_files(self, folder: Path) -> None:
        if not self.files:
            trainer = self.trainer()
            trainer.saved_model_file = str(folder / "model.pth")
            trainer.last_file = folder / "last.pth"
            trainer.fit(self.experiment.train_data, self.experiment.valid_data, verbose=False)
            self.files = {name: (folder / name).read_bytes() for name in ("model.pth", "last.pth")}
        for name, content in self.files.items():
            (folder / name).write_bytes(content)

    def trainer(self) -> Any:
        return self.experiment.build_trainer(self.experiment.build_model())


_TRAINED: list[_Trained] = []


def _trainer() -> _Trained:
    if not _TRAINED:
        _TRAINED.append(_Trained())
    return _TRAINED[0]


def _evaluated(path: Path) -> Any:
    load_checkpoint(path)
    trainer = _trainer().trainer()
    return dict(trainer.evaluate(_trainer().experiment.test_data, model_file=str(path)))


def _resumed(path: Path) -> Any:
    trainer = _trainer().trainer()
    trainer.resume_checkpoint(path)
    return trainer.start_epoch, trainer.stage, _values(trainer.model.state_dict())


def _values(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value.tolist() for name, value in state.items()}


# ---- searches ----------------------------------------------------------------------------------


def _search() -> Any:
    return search_of(Parameter("learning_rate", "log", (1e-4, 1e-1)),
                     Parameter("n_layers", "int", (1, 3)), learning_rate=0.001, n_layers=2)


def _journal(folder: Path) -> Path:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with Study(_search(), folder) as study:
        for number in range(3):
            drawn = study.draw()
            study.should_go_on(drawn, 0, 0.5)
            study.record(drawn, finished(0.1 * number))
        study.draw()
    return study_path(_search(), folder)


def _studied(path: Path) -> Any:
    with Study(_search(), path.parent) as study:
        if study.ranked:
            best_table(study)
            settings_file_text(study)
            train_command(study, None)
        headline(study)
        study.record(study.draw(), finished(0.2))
        return study.left, [trial.value for trial in study.trials]


# ---- all of them -------------------------------------------------------------------------------

READERS: dict[str, Reader] = {
    **{f"atomic .{suffix}": Reader(
        partial(_file, f"x.{suffix}", content),
        lambda path, ids=ids: read_atomic(path, Wanted(ids=ids))[0].shape)
       for suffix, (content, ids) in ATOMIC.items()},
    **{f"pickled {kind}, protocol {protocol}": Reader(
        partial(_file, "trnMat.pkl", _pickled(kind, protocol)),
        lambda path: parse_matrix(path.read_bytes(), path).shape)
       for kind, protocol in (("csr", 4), ("csc", 2), ("coo", 0), ("lil", 5), ("dok", 4),
                              ("dia", 3), ("bsr", 1))},
    **{f"authors' {name}": Reader(
        partial(_authors, name),
        lambda path: _converted(read_authors(SourceFolder(path.parent), "x")))
       for name in ("trnMat.pkl", "kg.txt", "item_list.txt")},
    **{f"KGAT's {name}": Reader(
        partial(_kgat, name), lambda path: _converted(read_kgat(SourceFolder(path.parent), "x")))
       for name in ("train.txt", "valid.txt", "test.txt", "kg_final.txt", "entity_list.txt",
                    "item_list.txt")},
    **{f"export of {name}": Reader(
        partial(_small, name),
        lambda path: _converted(read_back(SourceFolder(path.parent)).data))
       for name in ("small.train.inter", "small.item", "small.link", "small.kg")},
    "dataset YAML of a converter": Reader(
        partial(_file, "x.yaml", "data_path: here/\nexpected: {users: 3, source: me}\n"
                f"{dataset_yaml.BEGIN}\na: 1\n{dataset_yaml.END}\nmine: [1]\n"),
        lambda path: dataset_yaml.plan(path, "x", "data/", {"users": 3}).text),
    **{f"cache of {model}": Reader(partial(_cached, model), partial(_from_cache, model), True)
       for model in ("Pop", "CFKG")},
    "settings": Reader(partial(_file, "own.yaml", "epochs: 1\ntopk: [5, 20]\n"), read_yaml),
    "comparison": Reader(partial(_file, "c.yaml", COMPARISON),
                         lambda path: len(read_comparison(path).rows)),
    "search space": Reader(partial(_file, "s.yaml", SPACE),
                           lambda path: len(read_space(path, "BPR").parameters)),
    "budget": Reader(partial(_file, "budget.yaml", json.dumps(BUDGET)), read_budget),
    **{f"{name} of a run": Reader(partial(_run, name), _whole_run)
       for name in ("run.json", "config.yaml", "users.parquet", "pairs.parquet", "epochs.jsonl",
                    "audit.json")},
    **{f"{name} of a run that goes on": Reader(partial(_begun, name), _opened)
       for name in ("run.json", "epochs.jsonl")},
    "model.pth": Reader(partial(_checkpoint, "model.pth"), _evaluated, True),
    "last.pth": Reader(partial(_checkpoint, "last.pth"), _resumed, True),
    "study journal": Reader(_journal, _studied),
}


_VALUE = re.compile(rb'"[^"\n]*"|-?\d[\d.eE+-]*|true|false|null')
HOSTILE = (b"\n", b"\0", b"\t", b"\xff", b"[", b"{}", b"[1]", b": ", b"null", b"NaN", b"-1",
           b"1e999", b'"\\ud800"', b"\xed\xa0\x80", b"9" * 30, b'""', b"true", b'"x"', b"0.5")
KINDS = ("flip", "cut", "end", "insert", "repeat", "value", "value")


def mutated(content: bytes, draws: list[tuple[str, float, int, bytes]]) -> bytes:
    """A file's bytes after some damages: each a kind, a place (a share), a length, other bytes."""
    changed = bytearray(content)
    for kind, share, length, other in draws:
        place = int(share * len(changed))
        if kind == "flip" and changed:
            place = min(place, len(changed) - 1)
            changed[place] ^= 1 << length % 8
        elif kind == "cut":
            del changed[place:place + length]
        elif kind == "end":
            del changed[place:]
        elif kind == "insert":
            changed[place:place] = other
        elif kind == "value":  # of JSON, YAML, and other text
            found = [*_VALUE.finditer(bytes(changed))]
            if found:
                one = found[min(int(share * len(found)), len(found) - 1)]
                changed[one.start():one.end()] = HOSTILE[length % len(HOSTILE)]
        elif kind == "repeat":
            changed[place:place] = changed[place:place + length]
    return bytes(changed)


def random_damages(rng: np.random.Generator) -> list[tuple[str, float, int, bytes]]:
    """Damages for :func:`mutated`."""
    return [(str(rng.choice(KINDS)), float(rng.random()),
             int(rng.integers(1, 40)), rng.bytes(int(rng.integers(1, 9))))
            for _ in range(int(rng.integers(1, 4)))]
