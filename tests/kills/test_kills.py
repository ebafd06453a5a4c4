"""A few kills; ``python -m tests.kills`` makes two hundred."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kills import killing


@pytest.mark.slow
def test_killed_runs_end_as_undisturbed_ones():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.kills", "--count", "3", "--models", "EASE"],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 chains with another result" in done.stdout


def test_what_differs_is_named():
    one = {"record": {"epoch": 3}, "model": {"/w": ("float32", (1,), b"1")}}
    other = {"record": {"epoch": 3}, "model": {"/w": ("float32", (1,), b"2")}}
    assert killing.differences(one, one) == []
    assert killing.differences(one, other) == ["/model//w"]
    assert killing.differences(one, {"record": {"epoch": 2}}) == ["/record/epoch", "/model"]
