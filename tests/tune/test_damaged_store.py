"""A search beside damaged runs: it reads none of them, and ends as it does without them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from diffkg_recbole.cli import main
from tests.report.damage import damages
from tests.report.fake_runs import FakeRun, write_fake_run
from tests.tune.searches import write_workplace

DAMAGES = dict(damages())


def _told(words: list[str], capsys: pytest.CaptureFixture) -> str:
    capsys.readouterr()
    assert main(words) == 0
    out, said = capsys.readouterr()
    assert said == ""
    return re.sub(r" \d+ s ", " ", out)  # the seconds of a trial


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("workplace")
    words = ["tune", *write_workplace(folder), "--trials=1"]
    write_fake_run(folder / "runs", FakeRun("BPR", dataset="synthetic", users=30, items=20))
    return folder, words


@pytest.mark.parametrize("name", [*DAMAGES][::9])
def test_a_search_beside_a_damaged_run(workplace, tmp_path, name, capsys, monkeypatch):
    folder, words = workplace
    shutil.copytree(folder, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    expected = _told([*words, "--store=empty"], capsys)
    (run,) = Path("runs").iterdir()
    DAMAGES[name](run)
    assert _told([*words, "--store=runs"], capsys).replace("runs", "empty") == expected
    assert run.exists()
