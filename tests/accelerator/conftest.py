"""The device that is none, as a fixture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from torch.utils import backend_registration

from tests.accelerator.device import Accelerator


@pytest.fixture
def accelerator() -> Iterator[Accelerator]:
    """An accelerator at work for the whole test."""
    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("PyTorch lets Python register a backend from 2.9 on")
    with Accelerator() as device:
        yield device
