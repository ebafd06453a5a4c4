"""One damaged run is named and left out; it never ends a report."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from diffkg_recbole.cli import main
from diffkg_recbole.errors import UserError
from diffkg_recbole.report import build_report
from diffkg_recbole.report.csv_json import render_csv, render_json
from diffkg_recbole.report.latex import render_latex
from diffkg_recbole.report.markdown import render_markdown
from diffkg_recbole.store import RunStore
from tests.report.damage import Damage, damages
from tests.report.fake_runs import FakeRun, write_fake_run
from tests.report.test_text_formats import _printed

DAMAGES = dict(damages())
SMALL = {"users": 120, "items": 40, "epochs": 2, "dataset": "d"}


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("intact")
    for fake in (FakeRun("BPR", 0.2, **SMALL), FakeRun("KGAT", 0.3, kg="original", **SMALL),
                 FakeRun("EASE", 0.4, **SMALL)):
        write_fake_run(store, fake)
    return store


@pytest.fixture
def store(intact: Path, tmp_path: Path) -> Path:
    return shutil.copytree(intact, tmp_path / "store")


def _bad(store: Path) -> Path:
    return next(store.glob("EASE-*"))


def test_there_are_damages_enough_and_names_are_theirs_alone() -> None:
    assert len(DAMAGES) == len(list(damages())) >= 150


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_damaged_run_is_named_and_the_others_are_reported(
    store: Path, damage: Damage
) -> None:
    damage(_bad(store))
    report = build_report(*RunStore(store).scan())
    assert {row.label for one in report.sections for row in one.section.rows} == {"BPR", "KGAT"}
    ((folder, why),) = report.corrupt
    assert folder == _bad(store).name
    assert why
    assert "\n" not in why
    assert len(report.sections[0].comparisons) == 1
    for text in (_printed(report), render_markdown(report).replace("\\", ""), render_json(report)):
        assert folder in text
    assert "EASE" not in render_csv(report)
    assert "EASE" not in render_latex(report)


@pytest.mark.parametrize("name", [
    "run.json: test = {'recall@20': nan}", "users.parquet: cut at 0.7", "config.yaml: empty",
    "epochs.jsonl: random bytes"])
def test_the_command_names_it_and_succeeds(
    store: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    DAMAGES[name](_bad(store))
    assert main(["report", str(store), "--out", str(tmp_path / "out")]) == 0
    assert f"unreadable: {_bad(store).name}: " in " ".join(capsys.readouterr().out.split())
    value = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [one["folder"] for one in value["unreadable"]] == [_bad(store).name]


def test_where_no_run_is_left_one_sentence_says_so(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in store.iterdir():
        DAMAGES["config.yaml: empty"](folder)
    with pytest.raises(UserError, match="none of 3 runs can be read; the first: run folder BPR-d-"):
        build_report(*RunStore(store).scan())
    assert main(["report", str(store), "--out", str(tmp_path / "out")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there_is_no_damage(store: Path) -> None:
    for name in ("users.parquet", "pairs.parquet", "epochs.jsonl", "audit.json"):
        (_bad(store) / name).unlink()
    report = build_report(*RunStore(store).scan())
    assert report.corrupt == []
    assert "EASE" in [row.label for row in report.sections[0].section.rows]
    assert "EASE is not tested against others: users.parquet is missing." in (
        report.sections[0].notes)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_run_never_ends_the_list_of_runs(
    store: Path, damage: Damage, capsys: pytest.CaptureFixture
) -> None:
    """Named where what is listed cannot be believed; other files are not the list's business."""
    damage(_bad(store))
    status = main(["runs", "list", "--store", str(store)])
    out, said = capsys.readouterr()
    assert status in (0, 1)
    assert status == (1 if said else 0)
    assert "BPR" in out
    assert "KGAT" in out
    assert "Traceback" not in said
    if said:
        assert said.startswith(f"warning: run folder {_bad(store).name}: ")
        assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["run.json", "epochs.jsonl", "users.parquet", "config.yaml"])
def test_a_pipe_in_place_of_a_file_hangs_nothing(store: Path, name: str) -> None:
    (_bad(store) / name).unlink(missing_ok=True)
    os.mkfifo(_bad(store) / name)
    assert main(["runs", "list", "--store", str(store)]) == (1 if name == "run.json" else 0)
    report = build_report(*RunStore(store).scan())
    assert [folder for folder, _ in report.corrupt] == [_bad(store).name]
