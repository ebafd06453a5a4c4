from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from diffkg_recbole.files import replacing, write_json, write_yaml
from diffkg_recbole.store.epoch_log import EpochLog, read_lines


def test_an_error_while_writing_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def stop_half_way() -> None:
        with replacing(target) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stop_half_way()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_json_and_yaml_hold_plain_values(tmp_path):
    value = {"nan": float("nan"), "x": np.float32(0.5), "e": 1e-5, "name": np.str_("ü")}
    write_json(tmp_path / "a.json", value)
    write_yaml(tmp_path / "a.yaml", value)
    expected = {"nan": None, "x": 0.5, "e": 1e-5, "name": "ü"}
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == expected
    assert yaml.safe_load((tmp_path / "a.yaml").read_text(encoding="utf-8")) == expected


_REWRITE_FOREVER = """
import sys
from diffkg_recbole.files import write_json
n = 0
while True:
    write_json(sys.argv[1], {"n": n, "filling": "x" * 200_000})
    n += 1
"""


def test_a_file_is_whole_after_sigkill_at_any_moment(tmp_path):
    target = tmp_path / "a.json"
    for _ in range(3):
        before = json.loads(target.read_text())["n"] if target.exists() else -1
        writer = subprocess.Popen([sys.executable, "-c", _REWRITE_FOREVER, str(target)])
        _wait_until(lambda before=before: target.exists()
                    and json.loads(target.read_text())["n"] not in (before, 0))
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        value = json.loads(target.read_text())
        assert len(value["filling"]) == 200_000


def _wait_until(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "gave up waiting"
        time.sleep(0.01)


def _rows(*epochs: int, tag: str = "") -> list[dict]:
    return [{"epoch": epoch, "tag": tag} for epoch in epochs]


def _log_with(path: Path, rows: list[dict]) -> EpochLog:
    log = EpochLog(path)
    for row in rows:
        log.append(row)
    return log


def test_epochs_are_read_back_in_order(tmp_path):
    path = tmp_path / "epochs.jsonl"
    _log_with(path, _rows(0, 1, 2))
    assert read_lines(path) == _rows(0, 1, 2)


def test_a_repeated_epoch_replaces_its_row_and_the_later_ones(tmp_path):
    path = tmp_path / "epochs.jsonl"
    _log_with(path, _rows(0, 1, 2, 3))
    _log_with(path, _rows(2, tag="resumed"))
    assert read_lines(path) == _rows(0, 1) + _rows(2, tag="resumed")


@pytest.mark.parametrize("torn", [b'{"epoch": 2, "ta', b'{"epoch": 2}', b"\0\0\0\0\n", b"{}\n"])
def test_a_torn_last_line_is_dropped_and_written_over(tmp_path, torn):
    path = tmp_path / "epochs.jsonl"
    _log_with(path, _rows(0, 1))
    with path.open("ab") as file:
        file.write(torn)
    assert read_lines(path) == _rows(0, 1)
    _log_with(path, _rows(2))
    assert read_lines(path) == _rows(0, 1, 2)


def test_damage_before_the_last_line_is_reported_with_its_line(tmp_path):
    path = tmp_path / "epochs.jsonl"
    path.write_bytes(b'{"epoch": 0}\nrubbish\n{"epoch": 2}\n')
    with pytest.raises(ValueError, match="line 2"):
        read_lines(path)


@pytest.mark.parametrize("epoch", [None, -1, 1.5])
def test_a_row_without_an_epoch_is_refused(tmp_path, epoch):
    with pytest.raises(ValueError, match="epoch"):
        EpochLog(tmp_path / "epochs.jsonl").append({"epoch": epoch})


def test_values_of_a_row_become_plain(tmp_path):
    path = tmp_path / "epochs.jsonl"
    _log_with(path, [{"epoch": np.int64(0), "losses": {"bpr": np.float32(0.5),
                                                       "kl": float("nan")}}])
    assert read_lines(path) == [{"epoch": 0, "losses": {"bpr": 0.5, "kl": None}}]
