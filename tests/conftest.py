"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

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
