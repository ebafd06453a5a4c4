"""``diffkg-recbole report``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from diffkg_recbole.cli import main
from tests.report.fake_runs import FakeRun, write_fake_run

SMALL = FakeRun(users=40, items=30, epochs=3)
FILES = {"report.html", "report.md", "report.csv", "report.json", "report.tex"}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for fake in (SMALL, replace(SMALL, model="KGAT", quality=0.4, kg="original"),
                 replace(SMALL, dataset="second")):
        write_fake_run(tmp_path / "runs", fake)
    return tmp_path / "runs"


def _labels(out: Path) -> list[list[str]]:
    value = json.loads((out / "report.json").read_text())
    return [[row["label"] for row in section["rows"]] for section in value["sections"]]


def test_writes_every_format_and_prints_the_verdict(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "out"
    assert main(["report", str(store), "--out", str(out), "--title", "Mine"]) == 0
    assert {path.name for path in out.iterdir()} == FILES
    printed = capsys.readouterr().out
    assert "invented, protocol clean" in printed
    assert "KGAT" in printed
    assert str(out / "report.html") in printed.replace("\n", "")
    assert "<title>Mine</title>" in (out / "report.html").read_text()
    assert _labels(out) == [["KGAT", "BPR"], ["BPR"]]


def test_filters(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["report", str(store), "--out", str(tmp_path / "out"), "--quiet"]
    assert main([*arguments, "--dataset", "invented", "--model", "BPR", "--model", "X"]) == 0
    assert _labels(tmp_path / "out") == [["BPR"]]
    assert "protocol" not in capsys.readouterr().out
    assert main([*arguments, "--dataset", "third"]) == 2
    assert "no run to report" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "message"), [
    (["--metric", "auc"], "no finished run has the metric 'auc'"),
    (["--reference", "Nobody"], "no finished run has the label 'Nobody'")])
def test_wishes_that_cannot_be_met(
    store: Path, tmp_path: Path, arguments: list[str], message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["report", str(store), "--out", str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_mixed_data_are_refused_and_nothing_is_written(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_fake_run(store, replace(SMALL, model="SGL", data_seed=3))
    assert main(["report", str(store), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "not comparable" in error
    assert "different train pairs" in error
    assert "only in the first" in error
    assert not (tmp_path / "out").exists()


def test_no_store_and_no_place_to_write(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 2
    assert "is not a folder" in capsys.readouterr().err
    (tmp_path / "file").write_text("x")
    assert main(["report", str(store), "--out", str(tmp_path / "file"), "--quiet"]) == 2
    assert "cannot write the report" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "x"


def test_an_older_report_is_replaced_whole(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.md").write_text("old")
    assert main(["report", str(store), "--out", str(out), "--quiet"]) == 0
    assert (out / "report.md").read_text().startswith("# Leaderboard")
    assert {path.name for path in out.iterdir()} == FILES
