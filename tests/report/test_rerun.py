"""What is needed to make the numbers again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from diffkg_recbole.report.rerun import recipe
from diffkg_recbole.report.results import sections
from diffkg_recbole.store import RunStore
from tests.report.fake_runs import FakeRun, write_fake_run

SMALL = FakeRun(users=30, items=20, epochs=2)


def test_settings_are_split_into_common_and_own(tmp_path: Path) -> None:
    for fake in (replace(SMALL, config={"reg": 0.1, "data_path": "/secret"}),
                 replace(SMALL, model="SGL", config={"reg": 0.2, "tau": 0.5, "nothing": None})):
        write_fake_run(tmp_path, fake)
    made = recipe(sections(RunStore(tmp_path).scan().records)[0])
    assert made.deviations == {"BPR": {"reg": 0.1}, "SGL": {"reg": 0.2, "tau": 0.5}}
    assert made.common == {"dataset": "invented", "split_seed": 7, "eval_protocol": "clean",
                           "topk": [10, 20], "valid_metric": "Recall@20", "learning_rate": 0.001,
                           "embedding_size": 64}


def test_commands_name_the_program_and_what_differs_between_runs_is_listed(tmp_path: Path) -> None:
    for seed, program, gpu in ((1, "/home/me/diffkg_recbole/__main__.py", "A"),
                               (2, "/usr/bin/diffkg-recbole", "B")):
        folder = write_fake_run(tmp_path, replace(SMALL, seed=seed))
        record = json.loads((folder / "run.json").read_text())
        record.update(command=[program, "train", f"--seed={seed}"],
                      hardware={"cores": 2, "gpus": [gpu], "host": "mine"})
        (folder / "run.json").write_text(json.dumps(record))
    made = recipe(sections(RunStore(tmp_path).scan().records)[0])
    assert made.commands == (("python", "-m", "diffkg_recbole", "train", "--seed=1"),
                             ("diffkg-recbole", "train", "--seed=2"))
    assert made.hardware == {"cores": 2, "gpus": [["A"], ["B"]]}
