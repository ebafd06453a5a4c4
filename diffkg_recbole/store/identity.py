"""What a run is: the content hash of everything that determines its result."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from diffkg_recbole.plain import canonical_json
from diffkg_recbole.store.key_classes import makes_result


def determining(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved configuration that can change the result."""
    return {key: value for key, value in configuration.items() if makes_result(key)}


def run_id(
    configuration: Mapping[str, Any], fingerprint: str | Mapping[str, Any], code: str,
    device: str = "cpu",
) -> str:
    """The id of a run: sha256 (64 hex digits) over what determines its result.

    Args:
        configuration: the resolved configuration; only its :func:`determining` part counts.
        fingerprint: hash of the data, or the mapping of a run record, whose ``"all"`` is used,
            together with ``"graph"`` (hash of the triples) where the model reads a graph.
        code: what names the code, :func:`diffkg_recbole.store.code_hash`.
        device: kind of the device on which the model draws, ``cpu`` or ``cuda``.
    """
    data = fingerprint
    if not isinstance(fingerprint, str):
        graph = fingerprint.get("graph")
        data = fingerprint["all"] + (f"+{graph}" if graph else "")
    parts = {"code": code, "configuration": determining(configuration), "data": data,
             "device": device}
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()
