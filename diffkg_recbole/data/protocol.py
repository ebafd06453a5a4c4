"""Evaluation protocols: which pairs are trained on, tested, and masked when ranking.

========= ============================= ============================== ======================
protocol  test pairs                    masked when ranking            epoch chosen on
========= ============================= ============================== ======================
clean     without duplicates and pairs  train (and validation when     validation part
          that are also in train        testing)
authors   as given                      every training item, even if   the test part
                                        it is a test positive
recbole   as given                      training items that are no     validation part
                                        test positive of the user
========= ============================= ============================== ======================

The candidates are all items in each of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def pair_keys(part: Any, n_items: int) -> np.ndarray:
    """One int64 key per interaction of a RecBole dataset: user id * n_items + item id."""
    users = part.inter_feat[part.uid_field].numpy().astype(np.int64)
    items = part.inter_feat[part.iid_field].numpy().astype(np.int64)
    return users * n_items + items


def _first_of_each(keys: np.ndarray) -> np.ndarray:
    """True where a key occurs for the first time."""
    first = np.zeros(len(keys), dtype=bool)
    first[np.unique(keys, return_index=True)[1]] = True
    return first


def _keep(part: Any, mask: np.ndarray) -> Any:
    if mask.all():
        return part
    return part.copy(part.inter_feat[np.flatnonzero(mask)])


def _join(part: Any, other: Any) -> Any:
    from recbole.data.interaction import cat_interactions

    if len(other) == 0:
        return part
    return part.copy(cat_interactions([part.inter_feat, other.inter_feat]))


def apply_protocol(parts: list[Any], protocol: str, n_items: int) -> tuple[list[Any], dict]:
    """Parts [train, valid, test] of a RecBole dataset as the protocol wants them.

    Args:
        parts: RecBole datasets with ``inter_feat`` as Interaction.
        protocol: ``clean``, ``authors`` or ``recbole``.
        n_items: size of the item id space.

    Returns:
        the new parts, and a report: protocol, counts before and after, pairs that were removed
        and the overlaps that were found.
    """
    train, valid, test = parts
    keys = {name: pair_keys(part, n_items)
            for name, part in zip(("train", "valid", "test"), parts)}
    in_train = np.isin(keys["test"], keys["train"])
    in_valid = np.isin(keys["test"], keys["valid"])
    report: dict[str, Any] = {
        "protocol": protocol,
        "given": {name: len(k) for name, k in keys.items()},
        "duplicates": {name: int(len(k) - len(np.unique(k))) for name, k in keys.items()},
        "test_pairs_also_in_train": int(in_train.sum()),
        "test_pairs_also_in_valid": int(in_valid.sum()),
        "valid_pairs_also_in_train": int(np.isin(keys["valid"], keys["train"]).sum()),
    }
    if protocol == "clean":
        valid = _keep(valid, _first_of_each(keys["valid"])
                      & ~np.isin(keys["valid"], keys["train"]))
        test = _keep(test, _first_of_each(keys["test"]) & ~in_train & ~in_valid)
    elif protocol == "authors":
        train, valid = _join(train, valid), test
    report["used"] = {"train": len(train), "valid": len(valid), "test": len(test)}
    report["test_selected"] = protocol == "authors"
    return [train, valid, test], report
