"""Processes that are killed, started by torchrun, or in two networks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from recbole.model.general_recommender.bpr import BPR

import diffkg_recbole
from diffkg_recbole.errors import UserError
from diffkg_recbole.parallel import one_sentence_for_a_lost_process, torchrun_keys

ROOT = Path(diffkg_recbole.__file__).parents[1]
SCRIPT = ROOT / "run_recbole_diffkg.py"
SETTINGS = {"epochs": 6, "train_batch_size": 256, "embedding_size": 8, "use_gpu": False,
            "show_progress": False, "state": "error", "cache_dataset": False}
WORDS = [f"--{key}={value}" for key, value in SETTINGS.items()]


class Dying(BPR):
    """The second process is killed in its fourth epoch."""

    steps = 0

    def calculate_loss(self, interaction):
        self.steps += 1
        if torch.distributed.get_rank() == 1 and self.steps == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().calculate_loss(interaction)


@pytest.mark.slow
def test_a_killed_process_ends_the_others_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"one of the 2 processes was killed \(SIGKILL\).*goes on"):
        diffkg_recbole.run(Dying, "tiny", config_dict=SETTINGS, nproc=2, store=tmp_path / "runs")
    (last,) = (tmp_path / "runs").glob("*/last.pth")
    assert 0 <= torch.load(last, weights_only=True)["epoch"] < 4


def test_a_lost_connection_is_one_sentence():
    with pytest.raises(UserError, match=r"another process .* has ended"), \
            one_sentence_for_a_lost_process():
        raise RuntimeError("[gloo/transport/tcp/pair.cc:1] Connection closed by peer [::1]:4")
    with pytest.raises(RuntimeError, match="sizes"), one_sentence_for_a_lost_process():
        raise RuntimeError("sizes do not match")


def test_the_place_that_torchrun_gives(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert torchrun_keys() == {}
    for key, value in {"TORCHELASTIC_RUN_ID": "none", "LOCAL_RANK": 1, "RANK": 3, "WORLD_SIZE": 4,
                       "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "host", "MASTER_PORT": 29500}.items():
        monkeypatch.setenv(key, str(value))
    assert torchrun_keys() == {"local_rank": 1, "world_size": 4, "nproc": 2, "offset": 2,
                               "ip": "host", "port": "29500"}


def alone(tmp_path: Path) -> dict:
    """The record of the run in one process."""
    command = [sys.executable, SCRIPT, "--model=LightGCN", "--dataset=tiny", *WORDS,
               "--store", tmp_path / "alone"]
    subprocess.run(command, cwd=tmp_path, check=True)
    return record(tmp_path / "alone")


def record(store: Path) -> dict:
    (file,) = store.glob("*/run.json")
    return json.loads(file.read_text())


def assert_same_run(found: dict, wanted: dict) -> None:
    assert found["status"] == "finished"
    assert found["test"] == pytest.approx(wanted["test"], abs=1e-3)
    assert found["valid"] == pytest.approx(wanted["valid"], abs=1e-3)


@pytest.mark.slow
def test_torchrun_trains_as_one_process(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
               SCRIPT, "--model=LightGCN", "--dataset=tiny", *WORDS, "--store", tmp_path / "runs"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert_same_run(record(tmp_path / "runs"), alone(tmp_path))


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def namespaces() -> Iterator[list[str]]:
    """Two network namespaces joined by a cable: 10.213.0.1 and 10.213.0.2."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and iproute2's ip")
    names = [f"recbole{os.getpid()}{end}" for end in "ab"]
    cable = [f"rb{os.getpid() % 10**6}{end}" for end in "ab"]
    try:
        try:
            for name in names:
                _ip("netns", "add", name)
            _ip("link", "add", cable[0], "type", "veth", "peer", "name", cable[1])
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.decode()}")
        for number, (name, end) in enumerate(zip(names, cable), 1):
            _ip("link", "set", end, "netns", name)
            _ip("-n", name, "link", "set", end, "name", "cable")
            _ip("-n", name, "addr", "add", f"10.213.0.{number}/24", "dev", "cable")
            _ip("-n", name, "link", "set", "cable", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", cable[0]], capture_output=True, check=False)


@pytest.mark.slow
def test_two_networks_train_as_one_process(namespaces, tmp_path):
    """As two machines with a shared folder: RecBole's ip, port, world_size, group_offset."""
    programs = []
    for offset, name in enumerate(namespaces):
        command = ["ip", "netns", "exec", name, sys.executable, SCRIPT, "--model=LightGCN",
                   "--dataset=tiny", *WORDS, "--store", tmp_path / "runs", "--nproc=1",
                   "--world_size=2", "--ip=10.213.0.1", "--port=5678", f"--group_offset={offset}"]
        programs.append(subprocess.Popen(
            command, cwd=tmp_path, env={**os.environ, "GLOO_SOCKET_IFNAME": "cable"}))
    assert [program.wait(timeout=300) for program in programs] == [0, 0]
    assert_same_run(record(tmp_path / "runs"), alone(tmp_path))
