"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

# Before torch is imported, and for the programs that tests start: small arrays gain nothing from
# threads, and the idle threads of several test processes would spin on each other's cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pytest
import torch

GOLDEN = Path(__file__).parent / "golden" / "golden.npz"


@pytest.fixture(scope="session")
def golden() -> dict[str, np.ndarray]:
    """The numbers recorded from the authors' program, by name.

    ``golden.json`` beside the file describes each array. Arrays are read-only, because the
    fixture is shared by all tests: copy them into tensors with ``torch.tensor``.
    """
    with np.load(GOLDEN) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for array in arrays.values():
        array.setflags(write=False)
    return arrays


@pytest.fixture(autouse=True, scope="session")
def _own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Datasets inside the RecBole package are cached for the session, not for the user."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture(scope="session")
def working_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Working folder of this process's tests."""
    return tmp_path_factory.mktemp("working")


@pytest.fixture(autouse=True)
def _own_working_folder(working_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RecBole writes into the working folder, and fails where two processes make the same
    folder there at once; nor shall tests leave anything among the sources."""
    monkeypatch.chdir(working_folder)


def pytest_configure() -> None:
    """One thread; and interrupts reach the programs that tests start, also where pytest runs in
    the background of a shell, which hands down an ignored SIGINT."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(autouse=True)
def _autograd_as_it_was() -> None:
    """RecBole's sequential models switch autograd's anomaly detection on when they are imported;
    a test that imports them must not slow down or fail the others."""
    torch.autograd.set_detect_anomaly(False)
