"""Audit before every run: what the split holds, and that it holds what the protocol promises."""

from __future__ import annotations

from typing import Any

import numpy as np

from diffkg_recbole.data.pairs import among, distinct, pair_keys
from diffkg_recbole.errors import UserError


def audit(dataset: Any, parts: dict[str, Any]) -> dict[str, Any]:
    """Counts that affect results, and the check of disjointness.

    Args:
        dataset: dataset after ``build()``; its ``protocol_report`` is part of the audit.
        parts: ``train``, ``valid``, ``test`` as the protocol left them.

    Raises:
        UserError: protocol ``clean`` and two parts share a pair.
    """
    n_items, n_users = dataset.item_num, dataset.user_num
    keys = {name: pair_keys(part, n_items) for name, part in parts.items()}
    report = dict(dataset.protocol_report)
    sets = {name: distinct(k) for name, k in keys.items()}
    report["overlap"] = {
        f"{a}_{b}": int(among(keys[b], sets[a]).sum())
        for a, b in (("train", "valid"), ("train", "test"), ("valid", "test"))
    }
    if report["protocol"] == "clean" and any(report["overlap"].values()):
        raise UserError(f"protocol clean wants disjoint parts, but found {report['overlap']}")
    in_train = np.bincount(keys["train"] % n_items, minlength=n_items)
    users_in_train = np.bincount(keys["train"] // n_items, minlength=n_users)
    report["users"], report["items"] = n_users - 1, n_items - 1
    report["items_without_training_pair"] = int((in_train[1:] == 0).sum())
    report["users_without_training_pair"] = int((users_in_train[1:] == 0).sum())
    if hasattr(dataset, "kg_feat"):
        head, tail = dataset.head_entities, dataset.tail_entities
        linked = np.zeros(dataset.entity_num, dtype=bool)
        linked[head], linked[tail] = True, True
        report["triples"] = len(head)
        report["entities"] = dataset.entity_num - 1
        report["relations"] = dataset.relation_num - 2
        report["items_without_triple"] = int((~linked[1:n_items]).sum())
        report["kg"] = dataset.config["kg"]
    return report
