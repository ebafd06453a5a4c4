"""Checkpoints of plain data: tensors, numbers, strings, lists and dicts.

RecBole pickles its whole ``Config``, which torch >= 2.6 refuses to load and which could run code.
These load with ``weights_only=True``, here and in RecBole's own ``evaluate``.
"""

from __future__ import annotations

import random
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffkg_recbole.errors import DataError
from diffkg_recbole.files import replacing
from diffkg_recbole.shortage import naming
from diffkg_recbole.text import one_line

_EXPECTED = "a checkpoint written by this plugin"


def plain_data(value: Any) -> Any:
    """``value`` with NumPy numbers and arrays, and dict subclasses, turned into plain data.

    Raises:
        TypeError: something that plain data cannot hold.
    """
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, np.generic):  # before float: np.float64 is a float
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, OrderedDict):
        return OrderedDict((k, plain_data(v)) for k, v in value.items())
    if isinstance(value, dict):
        return {plain_data(k): plain_data(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain_data(v) for v in value]
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")


def save_checkpoint(state: dict[str, Any], path: str | Path) -> None:
    """Write plain data beside ``path``, then rename: a killed write leaves the old file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path) as part, part.open("wb") as file:
            torch.save(plain_data(state), file)
    except RuntimeError as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # torch's writer hides it
            raise KeyboardInterrupt from None
        if isinstance(error.__context__, OSError):  # so it does with a full disk
            with naming(path):
                raise error.__context__ from None
        raise


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint into the host's memory; code inside it is never run.

    Raises:
        DataError: missing, damaged, or holding more than plain data.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(path, "checkpoint not found")
    try:
        _check_sums(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader meets damage with any of a dozen exceptions
        reason = one_line(str(error) or type(error).__name__)[:200]
        raise DataError(path, f"cannot be loaded as plain data ({reason})", _EXPECTED) from None
    if not isinstance(state, dict) or not isinstance(state.get("state_dict"), dict) or (
            not isinstance(state.get("config", {}), dict)):
        raise DataError(path, "is no model checkpoint", _EXPECTED)
    return state


def _check_sums(path: Path) -> None:
    """Raise where a bit has changed: torch writes sums into its archive, and reads none of them."""
    with zipfile.ZipFile(path) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise ValueError("it is packed")  # a small file could stand for a large one
        damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"its part {damaged} was changed")


def fill_model(model: Any, checkpoint: dict[str, Any], path: str | Path) -> None:
    """Give a RecBole model the state of a checkpoint, on the device that the model is on.

    Raises:
        DataError: the state is none of this model with these data.
    """
    try:
        model.load_state_dict(checkpoint["state_dict"])
        model.load_other_parameter(_moved(checkpoint.get("other_parameter"), model.device))
    except Exception as error:  # parameters of other names, sizes and kinds, in RecBole's models
        raise DataError(path, "the checkpoint does not fit this model and dataset "
                              f"({one_line(error)[:300]})") from None


def _moved(value: Any, device: torch.device) -> Any:
    """Plain data with its tensors on a device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _moved(item, device) for key, item in value.items()}
    return [_moved(item, device) for item in value] if isinstance(value, list) else value


def random_state() -> dict[str, Any]:
    """State of the global generators of Python, NumPy and torch, as plain data."""
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    keys = np.asarray(keys)
    return {
        "python": [version, list(words), gauss],
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Continue the global generators from :func:`random_state`."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    words64 = keys.cpu().numpy().astype(np.uint32)
    np.random.set_state((kind, words64, position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
